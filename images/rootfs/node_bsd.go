//go:build unix && !linux

package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// isSpecial reports whether this system cannot make the file.
func isSpecial(e *images.Entry) bool {
	return e.Type == images.CharDevice || e.Type == images.BlockDevice || e.Type == images.FIFO
}

// makeSpecial never makes a device or a FIFO. Device numbers are those of
// Linux, and not every system can make a FIFO in an open directory. The
// metadata file records both.
func makeSpecial(int, string, *images.Entry) error { return unix.ENOTSUP }
