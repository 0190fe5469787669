// Package atomicfile replaces files so that no crash or power cut loses one:
// the new content is written beside the old one, synced, and renamed, and then
// the directory is synced.
//
// github.com/google/renameio does not sync the directory, so a power cut can
// undo its rename. It does not build on Windows. It may put the part in another
// directory, where nothing that looks for leftovers finds it.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// prefix starts the name of a file that is not whole yet.
const prefix = ".part-"

// RemoveParts removes what killed processes left in a directory inside of root.
// No other process may be writing there.
func RemoveParts(root *os.Root, dir string) error {
	parts, err := fs.Glob(root.FS(), path.Join(filepath.ToSlash(dir), prefix+"*"))
	for _, part := range parts {
		err = errors.Join(err, root.Remove(part))
	}
	return err
}

// File is written in a directory under a name of its own until it is whole.
type File struct {
	*os.File
	dir  *os.Root
	part string
	done bool
}

// Create begins a file in a directory. Its permissions are perm without what
// the process's umask takes away, as with [os.OpenFile]. Call [File.Discard] in
// any case, e.g. with defer.
func Create(dir string, perm fs.FileMode) (*File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return begin(root, perm)
}

// CreateIn is [Create] for a directory inside of root, which no symbolic link
// leads out of.
func CreateIn(root *os.Root, dir string, perm fs.FileMode) (*File, error) {
	inner, err := root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return begin(inner, perm)
}

func begin(dir *os.Root, perm fs.FileMode) (*File, error) {
	part := prefix + rand.Text()
	file, err := dir.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &File{File: file, dir: dir, part: part}, nil
}

// Commit makes the file durable under a name in its directory, in the place of
// what has that name. If it fails before the rename, the old file is as it was;
// if only the sync of the directory fails, the new one is there, but a power cut
// may bring back the old one.
func (f *File) Commit(name string) error {
	if err := f.finish(); err != nil {
		return err
	}
	if err := f.dir.Rename(f.part, name); err != nil {
		return err
	}
	f.done = true
	if err := syncDir(f.dir); err != nil {
		return fmt.Errorf("sync the directory of %s: %w", filepath.Join(f.dir.Name(), name), err)
	}
	return nil
}

// finish makes the content durable.
func (f *File) finish() error { return errors.Join(f.File.Sync(), f.File.Close()) }

// Discard removes the file unless it was committed, and ends the use of its
// directory.
func (f *File) Discard() error {
	if f.done {
		return f.dir.Close()
	}
	// Committing may have closed it already.
	if err := f.File.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return errors.Join(err, f.dir.Remove(f.part), f.dir.Close())
	}
	return errors.Join(f.dir.Remove(f.part), f.dir.Close())
}

// Write has write make the content of the file called name.
func Write(name string, perm fs.FileMode, write func(*os.File) error) error {
	f, err := Create(filepath.Dir(name), perm)
	if err != nil {
		return err
	}
	return f.fill(filepath.Base(name), write)
}

// WriteIn is [Write] for a file inside of root, which no symbolic link leads
// out of.
func WriteIn(root *os.Root, name string, perm fs.FileMode, write func(*os.File) error) error {
	f, err := CreateIn(root, filepath.Dir(name), perm)
	if err != nil {
		return err
	}
	return f.fill(filepath.Base(name), write)
}

// CommitFolder makes a new folder durable under a name beside it. The caller has synced
// the files in it, but not their names, which only the folder's own sync makes durable.
func CommitFolder(folder, name string) error {
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("sync %s: %w", folder, err)
	}
	if err := os.Rename(folder, name); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync the directory of %s: %w", name, err)
	}
	return nil
}

func syncFolder(name string) error {
	dir, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), dir.Close())
}

func (f *File) fill(name string, write func(*os.File) error) (err error) {
	defer func() { err = errors.Join(err, f.Discard()) }()
	if err := write(f.File); err != nil {
		return err
	}
	return f.Commit(name)
}

// Text is a function for [Write] that writes text.
func Text(text []byte) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.Write(text)
		return err
	}
}
