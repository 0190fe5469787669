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
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/atomicfile"
	"cloudlets/images/dirtree"
	"cloudlets/images/layers"
	"cloudlets/images/rootfs"
	"cloudlets/images/target"
)

// These are the names in the keeper's directory.
const (
	// content has the content of each persistent path, below the same path.
	content = "content"
	// accepted lists the paths that have got all of their first content from
	// an image. Each is quoted, on a line of its own. The directories above
	// them exist only to hold them.
	accepted = "accepted"
	// incoming is where new content is copied to. It moves to content when the
	// copy is complete.
	incoming = "incoming"
	// underneath is a bind mount of the root, which shows the files that are
	// hidden below other mounts.
	underneath = "underneath"
)

// knownPaths are the accepted paths.
type knownPaths []string

// has says whether a path was accepted, or is below one that was.
func (k knownPaths) has(p string) bool {
	return slices.ContainsFunc(k, func(above string) bool { return p == above || strings.HasPrefix(p, above+"/") })
}

func (k keeper) known() (knownPaths, error) {
	text, err := os.ReadFile(filepath.Join(k.dir, accepted))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what the persistent partition has: %w", err)
	}
	var paths knownPaths
	for line := range strings.Lines(string(text)) {
		p, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("read what the persistent partition has: %s has the line %q: %w", accepted, line, err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// fill copies what the root has at the places in fresh. It accepts a path only
// when the whole copy is on the disk. If a start is interrupted before, the
// next start removes what that copied, and copies the path again if its system has it.
func (k keeper) fill(ctx context.Context, fresh []target.Place, known knownPaths) error {
	if err := k.removeBegun(); err != nil {
		return err
	}
	if len(fresh) == 0 {
		return nil
	}
	k.say("copying what the image has at %s to the persistent partition", pathsOf(fresh))
	below := filepath.Join(k.dir, underneath)
	if err := os.MkdirAll(below, 0o700); err != nil {
		return err
	}
	if err := unix.Mount(k.root, below, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	src, err := dirtree.Open(below)
	if err == nil {
		err = k.copyFrom(ctx, src, fresh, known)
	}
	return errors.Join(err, unix.Unmount(below, 0), os.Remove(below))
}

func (k keeper) copyFrom(ctx context.Context, src *dirtree.Dir, fresh []target.Place, known knownPaths) error {
	copied := filepath.Join(k.dir, incoming)
	selected := layers.Select(src, func(p string) bool {
		return slices.ContainsFunc(fresh, func(place target.Place) bool { return place.Holds(p) })
	})
	if _, err := rootfs.Write(ctx, copied, selected, rootfs.Options{}); err != nil {
		return err
	}
	tree, err := dirtree.Open(copied)
	if err != nil {
		return err
	}
	m := merger{keeper: k, from: tree, known: known}
	for _, p := range fresh {
		if err := m.accept(p); err != nil {
			return err
		}
		known = append(known, p.Path)
	}
	if err := k.remember(known); err != nil {
		return err
	}
	return os.RemoveAll(copied)
}

// removeBegun removes incoming and its partial copies, which an interrupted
// start may have left, also that of another system on the disk.
func (k keeper) removeBegun() error {
	begun, err := filepath.Glob(filepath.Join(k.dir, incoming+"*"))
	for _, name := range begun {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// remember writes the list of accepted paths. It syncs the filesystem first, so
// that the list never names a path whose content is not on the disk yet.
func (k keeper) remember(known knownPaths) error {
	var text []byte
	for _, p := range slices.Compact(slices.Sorted(slices.Values(known))) {
		text = append(strconv.AppendQuote(text, p), '\n')
	}
	root, err := os.OpenRoot(k.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := errors.Join(k.sync(), atomicfile.RemoveParts(root, ".")); err != nil {
		return err
	}
	return atomicfile.WriteIn(root, accepted, 0o600, atomicfile.Text(text))
}

func (k keeper) sync() error {
	dir, err := os.Open(k.dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close())
}

// merger moves what was copied from incoming to content. It replaces nothing:
// the content of accepted paths stays, and so does what an interrupted merge
// has already moved.
type merger struct {
	keeper
	from  *dirtree.Dir
	known knownPaths
}

func (m merger) accept(p target.Place) error {
	if err := os.MkdirAll(filepath.Dir(m.kept(p.Path)), 0o755); err != nil {
		return err
	}
	if len(p.Missing) > 0 { // the image has nothing at this place
		return os.MkdirAll(m.kept(p.Path), 0o755)
	}
	return m.merge(p.At, p.Path)
}

// merge moves the copy of the image's path at to the path p below content. It
// does nothing if p was accepted before. If both are directories, it merges
// them. Anything else that is at p stays.
func (m merger) merge(at, p string) error {
	if m.known.has(p) && m.there(p) {
		return nil
	}
	to := m.kept(p)
	info, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unix.Rename(filepath.Join(m.dir, incoming, at), to)
	case err != nil:
		return err
	}
	e, err := m.from.Entry(at)
	if err != nil || e.Type != images.Directory || !info.IsDir() {
		return err
	}
	return m.mergeInto(e, at, p)
}

// mergeInto adds to the directory p what it lacks, and gives it the metadata e,
// which is that of the image's directory.
func (m merger) mergeInto(e images.Entry, at, p string) error {
	list, err := os.ReadDir(filepath.Join(m.dir, incoming, at))
	if err != nil {
		return err
	}
	for _, child := range list {
		if err := m.merge(path.Join(at, child.Name()), path.Join(p, child.Name())); err != nil {
			return err
		}
	}
	root, err := rootfs.Open(filepath.Join(m.dir, content))
	if err != nil {
		return err
	}
	defer root.Close()
	dirs := root.Dirs()
	defer dirs.Close()
	e.Path = p
	return dirs.SetMetadata(&e)
}
