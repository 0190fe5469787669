//go:build unix

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// staging is a temporary directory beside the wanted one. On success it takes
// the wanted name.
type staging struct {
	path  string // DIR.partial-123
	final string // DIR
}

// newStaging makes the temporary directory. It fails if final cannot be
// created.
func newStaging(final string) (*staging, error) {
	final, err := freePlace(final)
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(filepath.Dir(final), filepath.Base(final)+".partial-*")
	if err != nil {
		return nil, err
	}
	return &staging{path: path, final: final}, nil
}

// freePlace checks that a directory can be created at dir. An empty directory
// may exist there already. It returns the absolute path without symbolic links.
func freePlace(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir == "/" {
		return "", errors.New("it is the root of this machine: name a new directory")
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
		return filepath.Join(parent, filepath.Base(dir)), err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(names) > 0 {
		return "", errors.New("it is not empty: name a new directory, or empty it")
	}
	return dir, notMounted(dir)
}

// notMounted returns an error if dir is a mount point, because no other
// directory can be renamed over a mount point.
func notMounted(dir string) error {
	here, err := placeOf(unix.AT_FDCWD, dir)
	if err != nil {
		return err
	}
	above, err := placeOf(unix.AT_FDCWD, filepath.Dir(dir))
	if err != nil {
		return err
	}
	if here != above {
		return errors.New("a filesystem is mounted on it: name a new directory in it")
	}
	return nil
}

// publish renames the directory to its final name. If sync is set, it waits
// until the new name is on the disk.
func (s *staging) publish(sync bool) error {
	// os.Rename would refuse to replace a directory, even an empty one.
	if err := unix.Rename(s.path, s.final); err != nil {
		return &os.LinkError{Op: "rename", Old: s.path, New: s.final, Err: err}
	}
	if !sync {
		return nil
	}
	return syncDir(filepath.Dir(s.final))
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// discard removes the directory and its contents.
func (s *staging) discard() error {
	err := os.RemoveAll(s.path)
	if err == nil {
		return nil
	}
	// An ordinary user may lack the rights to enter some directories of an
	// image.
	_ = filepath.WalkDir(s.path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		return err
	})
	if err := os.RemoveAll(s.path); err != nil {
		return fmt.Errorf("remove the incomplete directory: %w; remove it by hand", err)
	}
	return nil
}
