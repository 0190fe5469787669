package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// ownProgram is the file of the running program.
const ownProgram = "/proc/self/exe"

// addPreinit adds to the root filesystem the files that a system needs to
// start with this program, if the plan wants that. It does not replace files
// of the image.
func (i *installer) addPreinit() error {
	if !i.plan.Target.Preinit() {
		return nil
	}
	name := i.Program
	if name == "" {
		name = ownProgram
	}
	program, err := os.Open(name)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Stat()
	if err != nil {
		return err
	}
	for _, e := range i.plan.Target.PreinitFiles(info.Size(), time.Now()) {
		if err := addFile(i.Target, e, program); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// addFile makes the directory e, or the file e with content. It does nothing
// if the path exists. It restores the times of the parent directory, which are
// those in the image.
func addFile(root string, e images.Entry, content io.Reader) error {
	name := filepath.Join(root, e.Path)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	if e.Type == images.Directory {
		err = os.Mkdir(name, 0o700)
	} else {
		err = copyTo(name, content)
	}
	if err == nil { // the umask may have removed bits of the mode
		err = unix.Chmod(name, e.Mode)
	}
	return errors.Join(err, os.Chtimes(filepath.Dir(name), time.Time{}, parent.ModTime()))
}

func copyTo(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
