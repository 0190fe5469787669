package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// isSpecial reports whether making the file may need root's rights.
func isSpecial(e *images.Entry) bool {
	return e.Type == images.CharDevice || e.Type == images.BlockDevice
}

// makeSpecial makes a device or a FIFO.
func makeSpecial(dir int, base string, e *images.Entry) error {
	device := int(unix.Mkdev(e.Major, e.Minor))
	return unix.Mknodat(dir, base, fileType(e.Type)|0o600, device)
}
