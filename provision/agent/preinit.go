package agent

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

// addPreinit puts the files on the root filesystem by which the system starts
// with this program, if the plan has any. The image's own files stay.
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

// addFile makes a directory, or a file with content, unless there is something
// already. The directory that it is in keeps its times, which are the image's.
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
	if err == nil { // whatever the umask is
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
