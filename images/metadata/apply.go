//go:build unix

package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/rootfs"
)

// Target is a directory that is made to be as a [File] says.
type Target struct {
	// Dir is the directory.
	Dir string
	// Scope is the part of it that the File is about. The rest is left alone.
	Scope Scope
	// Before is what was applied, or found, before the repository changed the
	// directory. What it made (empty directories, devices, FIFOs) and the new
	// File does not is removed.
	Before File
}

// Apply makes a directory, which has the files that the repository keeps, be
// as f says: owners, modes and extended attributes are set, what f does not
// name gets the default, and the directories, devices, FIFOs and hard links
// that are missing are made. Names that are hard links to one another and
// should not be become files of their own, and the other way round only where
// their contents are the same. Times of modification stay.
//
// Without root's rights what cannot be done is left out, setuid and setgid
// too; see [Scan] for how it is remembered.
func Apply(ctx context.Context, to Target, f File) error {
	if err := apply(ctx, to, f); err != nil {
		return fmt.Errorf("apply %s to %s: %w", Path, to.Dir, err)
	}
	return nil
}

func apply(ctx context.Context, to Target, f File) error {
	root, err := rootfs.Open(to.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	a := &applier{
		to: to, file: f, dirs: root.Dirs(), targets: root.Dirs(), limited: !privileged(),
		inodes: map[inode]string{}, folders: keptFolders{},
	}
	defer a.dirs.Close()
	defer a.targets.Close()
	for _, step := range []func() error{a.removeOld, a.makeMissing, a.link, a.open} {
		if err := step(); err != nil {
			return err
		}
	}
	return a.set(ctx)
}

// applier is one run of Apply.
type applier struct {
	to            Target
	file          File
	dirs, targets *rootfs.Dirs
	limited       bool
	inodes        map[inode]string // the first name of files that have several
	folders       keptFolders
}

// open has the metadata file be readable, in a folder that is: a repository
// may have written both for its owner only.
func (a *applier) open() error {
	fd, err := a.dirs.Open(Path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd)
	a.folders.add(images.Dir)
	if err := unix.Fchmod(fd, 0o644); err != nil && !a.limited {
		return fmt.Errorf("set the mode of %s: %w", Path, needRoot(err))
	}
	return nil
}

// removeOld removes what the metadata made before and does not make now.
func (a *applier) removeOld() error {
	for _, old := range slices.Backward(a.to.Before.records) {
		if now, ok := a.file.Lookup(old.Path); old.Type == 0 || ok && now.Type == old.Type {
			continue
		}
		if err := a.remove(&old); err != nil {
			return fmt.Errorf("remove %s: %w", old.Path, err)
		}
	}
	return nil
}

// remove removes one file, if it is what was recorded.
func (a *applier) remove(old *Record) error {
	st, err := a.dirs.Stat(old.Path)
	if err != nil {
		return ignoreGone(err)
	}
	e := entryOf(old.Path, &st)
	switch {
	case old.Type == images.Directory && e.Type == images.Directory:
		if gone, err := a.removeFolder(old.Path); err != nil || !gone {
			return err
		}
	case isNode(e.Type) && (old.Type == e.Type || old.Type == images.HardLink):
		if err := a.dirs.Remove(old.Path); err != nil {
			return ignoreGone(err)
		}
	default:
		return nil
	}
	return a.removeAbove(old.Path)
}

// removeFolder removes a directory that is empty.
func (a *applier) removeFolder(p string) (gone bool, err error) {
	dir, base, err := a.dirs.Parent(p)
	if err != nil {
		return false, ignoreGone(err)
	}
	err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	return err == nil, ignoreGone(err)
}

// removeAbove removes the directories that are empty without what was removed
// from them: the repository could not, since it was there.
func (a *applier) removeAbove(p string) error {
	for p = parent(p); p != "/"; p = parent(p) {
		if r, ok := a.file.Lookup(p); ok && r.Type == images.Directory {
			return nil
		}
		if gone, err := a.removeFolder(p); err != nil || !gone {
			return err
		}
	}
	return nil
}

// ignoreGone takes it well that a file, or a directory above it, is not there.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// makeMissing makes the directories and nodes that the repository cannot keep.
func (a *applier) makeMissing() error {
	made := slices.DeleteFunc(a.file.Records(), func(r Record) bool { return r.Type == 0 || r.Type == images.HardLink })
	slices.SortFunc(made, func(a, b Record) int { return images.ComparePaths(a.Path, b.Path) })
	for i := range made {
		if err := a.make(&made[i]); err != nil {
			return fmt.Errorf("make %s: %w", made[i].Path, err)
		}
	}
	return nil
}

// make makes one of them, unless the repository has a file of its own there.
func (a *applier) make(r *Record) error {
	st, err := a.dirs.Stat(r.Path)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
		return nil // the repository has a file in the place of a directory
	case errors.Is(err, fs.ErrNotExist):
		return a.makeNew(r)
	case err != nil:
		return err
	}
	e := entryOf(r.Path, &st)
	if !isNode(e.Type) || !isNode(r.Type) || e.Type == r.Type && e.Major == r.Major && e.Minor == r.Minor {
		return nil
	}
	if err := a.dirs.Remove(r.Path); err != nil {
		return err
	}
	return a.makeNew(r)
}

func (a *applier) makeNew(r *Record) error {
	if err := a.makeParents(r.Path); err != nil {
		return err
	}
	if r.Type == images.Directory {
		return a.dirs.MakeDir(r.Path)
	}
	e := r.entry()
	e.ModTime = time.Unix(0, 0).UTC()
	if a.limited {
		_, _, err := a.dirs.TryMakeNode(&e)
		return err
	}
	return needRoot(a.dirs.MakeNode(&e))
}

// makeParents makes the directories that lead to a path; the walk that comes
// later gives them their metadata.
func (a *applier) makeParents(p string) error {
	up := parent(p)
	if up == "/" {
		return nil
	}
	a.folders.add(up)
	_, err := a.dirs.Stat(up)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := a.makeParents(up); err != nil {
		return err
	}
	return a.dirs.MakeDir(up)
}

// needRoot says what to do about missing rights.
func needRoot(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: it takes root, outside of a container, and a filesystem that knows owners and devices; or do it as an ordinary user, and what cannot be set stays in %s", err, Path)
	}
	return err
}

// keptFolders are the directories that hold something that is kept.
type keptFolders map[string]bool

// add takes in a directory and those above it.
func (k keptFolders) add(p string) {
	for ; !k[p]; p = parent(p) {
		k[p] = true
	}
}

// openRegular opens a regular file for reading; another one is an error.
func openRegular(d *rootfs.Dirs, p string) (*os.File, error) {
	fd, err := d.Open(p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p), nil
}
