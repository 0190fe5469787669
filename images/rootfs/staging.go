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

// staging is a directory beside the one that is wanted, which it becomes when
// all is well.
type staging struct {
	path  string // DIR.partial-123
	final string // DIR
}

// newStaging makes the directory, or says why there is no place for final.
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

// freePlace checks that a directory can come to be at dir, where there may be
// an empty one, and gives the absolute path of it without symbolic links.
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

// notMounted refuses a directory that another cannot be put in the place of.
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

// publish gives the directory its final name. With sync the name is on the
// disk when it returns.
func (s *staging) publish(sync bool) error {
	// Not os.Rename, which refuses a directory even if it is empty.
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

// discard removes the directory with all that is in it.
func (s *staging) discard() error {
	err := os.RemoveAll(s.path)
	if err == nil {
		return nil
	}
	// A user who is not root cannot look into all directories of an image.
	_ = filepath.WalkDir(s.path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		return err
	})
	if err := os.RemoveAll(s.path); err != nil {
		return fmt.Errorf("remove what was begun: %w; remove it by hand", err)
	}
	return nil
}
