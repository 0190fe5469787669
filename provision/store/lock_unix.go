//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the lock that a process with the store open has (flock(2)), and
// keeps others from opening it. A store that is not there needs no lock.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w: %s has it open; stop that process first: %w", ErrInUse, lockHolder(path), err)
	}
	return func() { file.Close() }, nil
}
