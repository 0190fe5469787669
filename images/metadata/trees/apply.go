//go:build unix

package trees

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
	"cloudlets/images/metadata"
	"cloudlets/images/rootfs"
)

// Target is a directory to which a [metadata.File] is applied.
type Target struct {
	// Dir is the directory.
	Dir string
	// Scope is the part of the directory that the File describes. The rest is
	// left alone.
	Scope Scope
	// Before is the metadata that was applied or found before the repository
	// changed the directory. The empty directories, devices and FIFOs that it
	// made are removed, unless the new File has them as well.
	Before metadata.File
}

// Apply changes a directory so that it matches f. The directory must already
// have the files that the repository keeps. Apply sets owners, modes and
// extended attributes; files that f does not name get the default. It makes the
// missing directories, devices, FIFOs and hard links. Names that are hard links
// to each other but should not be become separate files. Names that should be
// hard links become so only if their contents are the same. Modification times
// do not change.
//
// Without root's rights Apply skips what it cannot do, including setuid and
// setgid. See [Scan] for how these values are preserved.
func Apply(ctx context.Context, to Target, f metadata.File) error {
	if err := apply(ctx, to, f); err != nil {
		return fmt.Errorf("apply %s to %s: %w", metadata.Path, to.Dir, err)
	}
	return nil
}

func apply(ctx context.Context, to Target, f metadata.File) error {
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
	file          metadata.File
	dirs, targets *rootfs.Dirs
	limited       bool
	inodes        map[inode]string // the first name of files that have several
	folders       keptFolders
}

// open makes the metadata file and its folder readable for everyone: a
// repository may have written both for the owner only.
func (a *applier) open() error {
	fd, err := a.dirs.Open(metadata.Path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd)
	a.folders.add(images.Dir)
	if err := unix.Fchmod(fd, 0o644); err != nil && !a.limited {
		return fmt.Errorf("set the mode of %s: %w", metadata.Path, needRoot(err))
	}
	return nil
}

// removeOld removes what the old metadata made and the new one does not have.
func (a *applier) removeOld() error {
	for _, old := range slices.Backward(a.to.Before.Records()) {
		if now, ok := a.file.Lookup(old.Path); old.Type == 0 || ok && now.Type == old.Type {
			continue
		}
		if err := a.remove(&old); err != nil {
			return fmt.Errorf("remove %s: %w", old.Path, err)
		}
	}
	return nil
}

// remove removes one file, but only if it still is what was recorded.
func (a *applier) remove(old *metadata.Record) error {
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
	case metadata.IsNode(e.Type) && (old.Type == e.Type || old.Type == images.HardLink):
		if err := a.dirs.Remove(old.Path); err != nil {
			return ignoreGone(err)
		}
	default:
		return nil
	}
	return a.removeAbove(old.Path)
}

// removeFolder removes a directory if it is empty.
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

// removeAbove removes the directories above p that are now empty. The
// repository could not remove them while p existed.
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

// ignoreGone drops the errors which mean that the file, or a directory above
// it, does not exist.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// makeMissing makes the directories and nodes that a repository cannot keep.
func (a *applier) makeMissing() error {
	made := slices.DeleteFunc(a.file.Records(), func(r metadata.Record) bool { return r.Type == 0 || r.Type == images.HardLink })
	slices.SortFunc(made, func(a, b metadata.Record) int { return images.ComparePaths(a.Path, b.Path) })
	for i := range made {
		if err := a.make(&made[i]); err != nil {
			return fmt.Errorf("make %s: %w", made[i].Path, err)
		}
	}
	return nil
}

// make makes one of them, unless the repository has a file at that path.
func (a *applier) make(r *metadata.Record) error {
	st, err := a.dirs.Stat(r.Path)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
		return nil // the repository has a file where a directory should be
	case errors.Is(err, fs.ErrNotExist):
		return a.makeNew(r)
	case err != nil:
		return err
	}
	e := entryOf(r.Path, &st)
	if !metadata.IsNode(e.Type) || !metadata.IsNode(r.Type) || e.Type == r.Type && e.Major == r.Major && e.Minor == r.Minor {
		return nil
	}
	if err := a.dirs.Remove(r.Path); err != nil {
		return err
	}
	return a.makeNew(r)
}

func (a *applier) makeNew(r *metadata.Record) error {
	if err := a.makeParents(r.Path); err != nil {
		return err
	}
	if r.Type == images.Directory {
		return a.dirs.MakeDir(r.Path)
	}
	e := r.Entry()
	e.ModTime = time.Unix(0, 0).UTC()
	if a.limited {
		_, _, err := a.dirs.TryMakeNode(&e)
		return err
	}
	return needRoot(a.dirs.MakeNode(&e))
}

// makeParents makes the missing directories above a path. The later walk sets
// their metadata.
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

// needRoot adds to an error of missing rights what a person can do.
func needRoot(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: run this as root, outside of a container, on a filesystem that supports owners and devices; or run it as an ordinary user, and what cannot be set stays recorded in %s", err, metadata.Path)
	}
	return err
}

// keptFolders is the set of directories that contain a kept file.
type keptFolders map[string]bool

// add adds a directory and all directories above it.
func (k keptFolders) add(p string) {
	for ; !k[p]; p = parent(p) {
		k[p] = true
	}
}

// openRegular opens a file for reading, without waiting if it is not a regular
// file.
func openRegular(d *rootfs.Dirs, p string) (*os.File, error) {
	fd, err := d.Open(p, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p), nil
}
