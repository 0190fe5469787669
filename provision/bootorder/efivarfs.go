package bootorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is a mounted efivarfs, "/sys/firmware/efi/efivars". Each variable is a file whose
// first four bytes are its attributes.
type Dir string

var _ Variables = Dir("")

const (
	// global is the namespace of UEFI's own variables.
	global = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	// attributes are those of boot variables: they are kept, and can be read while
	// firmware starts and while a system runs.
	attributes = 7
	// maxVariable bounds what is read of a variable, in bytes.
	maxVariable = 128 << 10
)

func (d Dir) file(name string) string { return filepath.Join(string(d), name+global) }

// Names implements [Variables].
func (d Dir) Names() (names []string, err error) {
	files, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list the firmware's variables: %w", err)
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), global); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Read implements [Variables].
func (d Dir) Read(name string) ([]byte, error) {
	f, err := os.Open(d.file(name))
	if err != nil {
		return nil, fmt.Errorf("read the firmware's variable %s: %w", name, err)
	}
	defer f.Close() // it is only read
	data, err := io.ReadAll(io.LimitReader(f, maxVariable+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the firmware's variable %s: %w", name, err)
	case len(data) < 4 || len(data) > maxVariable:
		return nil, fmt.Errorf("read the firmware's variable %s: it has %d bytes; want 4 to %d", name, len(data), maxVariable)
	}
	return data[4:], nil
}

// Write implements [Variables]. The kernel hands each write to the firmware as a whole,
// so there must be one only.
func (d Dir) Write(name string, data []byte) error {
	content := append(binary.LittleEndian.AppendUint32(nil, attributes), data...)
	f, err := os.OpenFile(d.file(name), os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.Write(content)
		if err == nil {
			err = cut(f, int64(len(content)))
		}
		err = errors.Join(err, f.Close())
		if info, bad := os.Stat(d.file(name)); err != nil && bad == nil && info.Size() == 0 {
			_ = os.Remove(d.file(name)) // the firmware has no such variable
		}
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("write the firmware's variable %s: its memory is full: remove entries that nobody needs in its setup, or with efibootmgr: %w", name, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("write the firmware's variable %s: it does not allow that: put the disk into the boot order in its setup: %w", name, err)
	case err != nil:
		return fmt.Errorf("write the firmware's variable %s: %w", name, err)
	}
	return nil
}

// cut takes away what is left of a longer file. In efivarfs nothing is left.
func cut(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil || info.Size() == size {
		return err
	}
	return f.Truncate(size)
}

// Remove implements [Variables].
func (d Dir) Remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil {
		return fmt.Errorf("remove the firmware's variable %s: %w", name, err)
	}
	return nil
}
