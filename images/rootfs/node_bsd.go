//go:build unix && !linux

package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// isSpecial says whether a file is one that is not made here.
func isSpecial(e *images.Entry) bool {
	return e.Type == images.CharDevice || e.Type == images.BlockDevice || e.Type == images.FIFO
}

// makeSpecial makes no device and no FIFO: the numbers of devices are those of
// Linux, and not every host makes a FIFO in a directory that is open. The
// metadata file records both.
func makeSpecial(int, string, *images.Entry) error { return unix.ENOTSUP }
