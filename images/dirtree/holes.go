//go:build linux

package dirtree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// maxExtents bounds how many parts of a file are told apart. What follows the
// last of them counts as data.
const maxExtents = 1 << 14

var _ images.Sparse = (*dirContent)(nil)

// Data implements [images.Sparse] with what the filesystem knows. Small files
// are read ahead and count as data.
func (c *dirContent) Data() ([]images.Extent, error) {
	if c.item == nil || c.item.content != nil || c.left == 0 {
		return nil, nil
	}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.item.path, vanished(err))
	}
	list, err := c.file.data(c.left)
	if err == nil {
		_, err = unix.Seek(int(c.file), 0, unix.SEEK_SET)
	}
	if err != nil {
		return nil, fmt.Errorf("find the holes of %s: %w", c.item.path, err)
	}
	return list, nil
}

// data lists the parts of an open file of a size that are not holes.
func (f descriptor) data(size int64) ([]images.Extent, error) {
	list := []images.Extent{}
	for at := int64(0); at < size; {
		from, err := unix.Seek(int(f), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole up to the end
			break
		}
		if errors.Is(err, unix.EINVAL) {
			return nil, nil // the filesystem does not know
		}
		if err != nil {
			return nil, err
		}
		end := size
		if len(list) < maxExtents-1 {
			if end, err = unix.Seek(int(f), from, unix.SEEK_HOLE); err != nil {
				return nil, err
			}
		}
		if from = min(from, size); from < size {
			list = append(list, images.Extent{Offset: from, Size: min(end, size) - from})
		}
		at = end
	}
	if len(list) == 1 && list[0].Size == size {
		return nil, nil
	}
	return list, nil
}

// Skip implements [images.Sparse].
func (c *dirContent) Skip(n int64) error {
	if n < 0 || n > c.left {
		return fmt.Errorf("skip %d of %d bytes of %s: %w", n, c.left, c.item.path, unix.EINVAL)
	}
	if _, err := unix.Seek(int(c.file), n, unix.SEEK_CUR); err != nil {
		return fmt.Errorf("read %s: %w", c.item.path, err)
	}
	c.left -= n
	return nil
}
