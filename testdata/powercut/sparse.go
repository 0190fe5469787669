package powercut

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// punch makes a part of a file read as zeros, and takes no room for it.
func punch(f *os.File, off, length int64) error {
	if length == 0 {
		return nil
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length); err != nil {
		return fmt.Errorf("make a hole in %s: %w", f.Name(), err)
	}
	return nil
}

// Copy makes an empty file a copy of a part of another one. Holes stay holes.
func Copy(to, from *os.File, off, length int64) error {
	if err := to.Truncate(length); err != nil {
		return err
	}
	for at := off; at < off+length; {
		begin, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only holes are left
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for data in %s: %w", from.Name(), err)
		}
		end, err := unix.Seek(int(from.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("look for data in %s: %w", from.Name(), err)
		}
		begin, end = min(begin, off+length), min(end, off+length)
		if _, err := io.Copy(io.NewOffsetWriter(to, begin-off), io.NewSectionReader(from, begin, end-begin)); err != nil {
			return fmt.Errorf("copy %s: %w", from.Name(), err)
		}
		at = end
	}
	return nil
}
