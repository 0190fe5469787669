package preinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/disk"
	"cloudlets/images/rootfs"
	"cloudlets/images/target"
)

// mountPersistent mounts the disk's persistent partition, and what is on it in
// the places that the image's manifest calls persistent.
func (d *rootDisk) mountPersistent(ctx context.Context, say func(string, ...any)) error {
	file, err := d.persistentFile()
	if err != nil {
		return err
	}
	if err := unix.Mount(file, target.PersistentDir, "ext4", unix.MS_RELATIME, ""); err != nil {
		return fmt.Errorf("mount the persistent partition %s: %w", file, err)
	}
	paths, err := persistentPaths(ctx, "/")
	if err != nil {
		return err
	}
	return keeper{root: "/", dir: target.PersistentDir, say: say}.mountAll(ctx, paths)
}

// persistentFile is the device of the disk's persistent partition.
func (d *rootDisk) persistentFile() (string, error) {
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

// persistentPaths are those that the manifest of the image in a directory
// names, without those that are beneath others.
func persistentPaths(ctx context.Context, root string) ([]string, error) {
	src, err := images.NewDirSource(root)
	if err != nil {
		return nil, err
	}
	im, err := images.New(ctx, root, src, nil)
	if err != nil {
		return nil, fmt.Errorf("read which paths are persistent: %w", err)
	}
	defer im.Close()
	return outermost(im.Manifest.Persistent), nil
}

func outermost(paths []string) (list []string) {
	for _, p := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		if !slices.ContainsFunc(list, func(above string) bool { return strings.HasPrefix(p, above+"/") }) {
			list = append(list, p)
		}
	}
	return list
}

// keeper has the content of persistent paths in a directory, each at its own
// path there, and mounts it in the places that it has in a root.
type keeper struct {
	root, dir string
	say       func(format string, args ...any)
}

// Where the keeper's own directory has what is no path's content.
const (
	// incoming is where new content waits until it is whole.
	incoming = ".incoming"
	// underneath is where the root can be read without what is mounted on it.
	underneath = ".underneath"
)

// mountAll mounts the content of all paths. That which is not there yet is
// copied from the root first: the image's own is what it begins with.
func (k keeper) mountAll(ctx context.Context, paths []string) error {
	places := make([]string, len(paths))
	var fresh []string
	for i, p := range paths {
		var err error
		if places[i], err = k.place(p); err != nil {
			return fmt.Errorf("find the place of what is persistent at %s: %w", p, err)
		}
		_, err = os.Lstat(k.kept(p))
		if errors.Is(err, fs.ErrNotExist) {
			fresh = append(fresh, p)
		} else if err != nil {
			return fmt.Errorf("look for what is persistent at %s: %w", p, err)
		}
	}
	if err := k.fill(ctx, fresh); err != nil {
		return fmt.Errorf("copy what the image has at %s to the persistent partition: %w", strings.Join(fresh, ", "), err)
	}
	for i, p := range paths {
		if err := unix.Mount(k.kept(p), filepath.Join(k.root, places[i]), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount what is persistent at %s (a file cannot take a directory's place, nor a directory a file's): %w", p, err)
		}
	}
	return nil
}

// kept is where the content of a path is.
func (k keeper) kept(p string) string { return filepath.Join(k.dir, p) }

// place is the path in the root without links that content is mounted on. An
// empty directory is made where the image has nothing.
func (k keeper) place(p string) (string, error) {
	tree, err := images.NewDirSource(k.root)
	if err != nil {
		return "", err
	}
	place, err := images.Resolve(tree, p)
	if !errors.Is(err, fs.ErrNotExist) {
		return place, err
	}
	dir, err := k.place(path.Dir(p))
	if err != nil {
		return "", err
	}
	place = path.Join(dir, path.Base(p))
	return place, os.Mkdir(filepath.Join(k.root, place), 0o755)
}

// fill copies what the root has at some paths. Each appears under its name
// when it is whole and on the disk.
func (k keeper) fill(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	k.say("copying what the image has at %s to the persistent partition", strings.Join(paths, ", "))
	below := filepath.Join(k.dir, underneath)
	if err := os.MkdirAll(below, 0o700); err != nil {
		return err
	}
	if err := unix.Mount(k.root, below, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	src, err := images.NewDirSource(below)
	if err == nil {
		err = k.copyFrom(ctx, src, paths)
	}
	return errors.Join(err, unix.Unmount(below, 0))
}

func (k keeper) copyFrom(ctx context.Context, src *images.DirSource, paths []string) error {
	copied := filepath.Join(k.dir, incoming)
	if err := os.RemoveAll(copied); err != nil { // of a start that was broken off
		return err
	}
	places := map[string]string{}
	for _, p := range paths {
		place, err := images.Resolve(src, p)
		if err != nil {
			return err
		}
		places[p] = place
	}
	selected := images.Select(src, func(p string) bool {
		for _, place := range places {
			if p == place || strings.HasPrefix(p, place+"/") {
				return true
			}
		}
		return false
	})
	if _, err := rootfs.Write(ctx, copied, selected, rootfs.Options{}); err != nil {
		return err
	}
	for _, p := range paths {
		if err := k.accept(filepath.Join(copied, places[p]), k.kept(p)); err != nil {
			return err
		}
	}
	return os.RemoveAll(copied)
}

// accept gives new content its name.
func (k keeper) accept(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	dir, err := os.Open(k.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close())
}
