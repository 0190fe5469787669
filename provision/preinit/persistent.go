package preinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk"
	"cloudlets/images/target"
)

// mountPersistent mounts the disk's persistent partition. Then it mounts the
// content of each persistent path of the image's manifest in the path's place.
func (d *rootDisk) mountPersistent(ctx context.Context, s starter) error {
	file, err := d.persistentFile()
	if err != nil {
		return err
	}
	places, err := places(ctx, "/")
	if err != nil {
		return err
	}
	return MountPersistent(ctx, file, places, s.say)
}

// MountPersistent checks and mounts a persistent partition, by its device file, in the system
// whose root is this process's, and the content of each persistent path in the path's place.
// say tells a person what it does.
func MountPersistent(ctx context.Context, file string, places []target.Place, say func(format string, args ...any)) error {
	if err := mend(ctx, file, say); err != nil {
		return err
	}
	const dir = target.PersistentDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("mount the persistent partition %s: %w", file, err)
	}
	if err := unix.Mount(file, dir, "ext4", unix.MS_RELATIME, "errors=remount-ro"); err != nil {
		return fmt.Errorf("mount the persistent partition %s: %w", file, err)
	}
	return keeper{root: "/", dir: dir, say: say}.mountAll(ctx, places)
}

// persistentFile returns the device file of the disk's persistent partition.
func (d *rootDisk) persistentFile() (string, error) {
	if d.onMirror {
		l, err := d.mirrorLayout()
		if err != nil {
			return "", fmt.Errorf("look for a persistent partition: %w", err)
		}
		return d.arrayFile(l.Persistent.Number)
	}
	f, err := os.Open(d.file)
	if err != nil {
		return "", fmt.Errorf("look for a persistent partition: %w", err)
	}
	defer f.Close()
	p, err := disk.FindPersistent(f, d.size, d.sector)
	if err != nil {
		return "", err
	}
	return d.partitionFile(p.Number)
}

// checkers are the paths at which images have e2fsck.
var checkers = []string{"/sbin/e2fsck", "/usr/sbin/e2fsck"}

// mended is the highest exit status of e2fsck after which the filesystem is sound:
// bit 0 means that errors were corrected, bit 1 that the machine should restart if
// the filesystem was in use (e2fsck(8)).
const mended = 3

// mend runs the image's own e2fsck on the filesystem, if the image has one. Nothing
// else checks that filesystem, and people pull USB sticks out during a write.
func mend(ctx context.Context, file string, say func(format string, args ...any)) error {
	i := slices.IndexFunc(checkers, func(name string) bool { return unix.Access(name, unix.X_OK) == nil })
	if i < 0 {
		return nil // the kernel replays the journal in any case
	}
	out, err := exec.CommandContext(ctx, checkers[i], "-p", file).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 && exit.ExitCode() <= mended {
		say("%s", strings.TrimSpace(string(out)))
		err = nil
	}
	if err != nil {
		return fmt.Errorf("check the persistent partition: %s -p %s: %w: %s; run it by hand, without -p", checkers[i], file, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// places returns the places of the persistent paths of the image at root.
func places(ctx context.Context, root string) ([]target.Place, error) {
	src, err := dirtree.Open(root)
	if err != nil {
		return nil, err
	}
	im, err := images.New(ctx, root, src)
	if err != nil {
		return nil, fmt.Errorf("read which paths are persistent: %w", err)
	}
	return target.PersistentPlaces(im.Manifest, src)
}

// keeper keeps the content of persistent paths in the directory dir, and
// mounts it in the paths' places below root.
type keeper struct {
	root, dir string
	say       func(format string, args ...any)
}

// mountAll mounts all places. A place that the partition lacks is first filled from
// the image.
func (k keeper) mountAll(ctx context.Context, places []target.Place) error {
	known, err := k.known()
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(slices.Clone(places), func(p target.Place) bool { return known.has(p.Path) && k.there(p.Path) })
	if err := k.fill(ctx, fresh, known); err != nil {
		return fmt.Errorf("copy what the image has at %s to the persistent partition: %w", pathsOf(fresh), err)
	}
	for _, p := range places {
		if err := k.mount(p); err != nil {
			return fmt.Errorf("mount what is persistent at %s (a file cannot take a directory's place, nor a directory a file's): %w", p.Path, err)
		}
	}
	return nil
}

func (k keeper) mount(p target.Place) error {
	at := filepath.Join(k.root, p.At)
	if len(p.Missing) > 0 { // the disk was made with this directory, but the system may have removed it
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
	}
	return unix.Mount(k.kept(p.Path), at, "", unix.MS_BIND, "")
}

// kept returns where the keeper has the content of a path.
func (k keeper) kept(p string) string { return filepath.Join(k.dir, content, p) }

func (k keeper) there(p string) bool {
	_, err := os.Lstat(k.kept(p))
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

func pathsOf(places []target.Place) string {
	var paths []string
	for _, p := range places {
		paths = append(paths, p.Path)
	}
	return strings.Join(paths, ", ")
}
