//go:build linux

package pack

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"cloudlets/images/rootfs"
)

// failure returns an error that says what could not be done and where, and what
// a person can do about it.
func failure(root *rootfs.Root, t *TOC, op, p string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = fmt.Sprintf("; the image has %d files of %d bytes: give it a larger disk", t.info.Entries, t.info.Bytes)
	case errors.Is(err, unix.EEXIST):
		hint = "; a pack must be extracted to a fresh filesystem: make one"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EROFS):
		hint = "; the disk fails: look at the kernel's log, and replace it"
	case errors.Is(err, unix.EPERM):
		hint = "; run this as root, on a filesystem that supports owners and devices"
	}
	return fmt.Errorf("%s %s on %s: %w%s", op, p, root.Device(), err, hint)
}
