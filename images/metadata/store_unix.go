//go:build unix

package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// openText opens the metadata file. It does not follow a symbolic link.
func openText(dir string) (*os.File, error) {
	folder, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return OpenAt(folder, "metadata", 0)
}

// openFolder opens the folder /.cloudlet of an image.
func openFolder(dir string) (*os.File, error) {
	root, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return OpenAt(root, images.Dir[1:], unix.O_DIRECTORY)
}

// OpenAt opens the file called name in a folder for reading. A symbolic link is an
// error. It retries when a signal interrupts the call, since the Go runtime sends
// signals to itself.
func OpenAt(folder *os.File, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
}

// Write writes f as the metadata file of the image in a directory. It writes a
// temporary file, syncs it and renames it. If the file already has this
// content, or if f is empty and there is no file, Write does nothing. changed
// reports whether it wrote the file.
//
// It does not use package atomicfile, which follows a symbolic link from the place
// of the folder to another folder of the image, and whose parts have random names:
// the tools of revision control are told to ignore [Beside].
func Write(dir string, f File) (changed bool, err error) {
	current, want, err := compare(dir, f)
	if current || err != nil {
		return false, err
	}
	if err := replace(dir, want); err != nil {
		return false, fmt.Errorf("write %s of %s: %w", Path, dir, err)
	}
	return true, nil
}

// IsCurrent reports whether [Write] would do nothing.
func IsCurrent(dir string, f File) (bool, error) {
	current, _, err := compare(dir, f)
	return current, err
}

// compare reports whether the metadata file of an image has the content of f, and
// returns that content if not.
func compare(dir string, f File) (current bool, want []byte, err error) {
	text, err := readText(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil, err
	}
	if errors.Is(err, fs.ErrNotExist) && len(f.records) == 0 {
		return true, nil, nil
	}
	var buf bytes.Buffer
	if _, err := f.WriteTo(&buf); err != nil {
		return false, nil, err
	}
	return bytes.Equal(text, buf.Bytes()), buf.Bytes(), nil
}

func replace(dir string, text []byte) error {
	folder, err := openFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeFolder(dir); err == nil {
			folder, err = openFolder(dir)
		}
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	at := int(folder.Fd())
	if err := writeNew(at, text); err != nil {
		return errors.Join(err, ignoreAbsent(unix.Unlinkat(at, beside, 0)))
	}
	if err := unix.Renameat(at, beside, at, "metadata"); err != nil {
		return err
	}
	return folder.Sync()
}

// makeFolder makes the folder /.cloudlet with mode 0755, independent of the
// umask.
func makeFolder(dir string) error {
	name := dir + images.Dir
	if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	return os.Chmod(name, 0o755)
}

func writeNew(folder int, text []byte) error {
	if err := ignoreAbsent(unix.Unlinkat(folder, beside, 0)); err != nil {
		return err
	}
	fd, err := unix.Openat(folder, beside, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), beside)
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
