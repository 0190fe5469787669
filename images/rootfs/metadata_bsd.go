//go:build unix && !linux

package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// OmitTime in the nanoseconds of a time leaves that time as it is: it is
// UTIME_OMIT of sys/stat.h.
const OmitTime = -2

// setOwner leaves every file to whoever makes it, root too: a directory of this
// host is always read by its metadata file, which says whose the files are.
func setOwner(fd int, e *images.Entry) error {
	if err := checkOwner(e); err != nil {
		return err
	}
	return unix.Fchown(fd, int(e.UID), int(e.GID)) // its group is that of its directory so far
}

// checkOwner says whether a file belongs to who makes it.
func checkOwner(e *images.Entry) error {
	if int(e.UID) != os.Geteuid() || int(e.GID) != os.Getegid() {
		return unix.EPERM
	}
	return nil
}

// setXattr sets none: the names and meanings of extended attributes are those
// of Linux.
func setXattr(int, string, string) error { return unix.ENOTSUP }

// setNode is setOpen for what cannot be opened, or need not be readable: a
// symbolic link, a file that is there already.
func setNode(dir int, base string, e *images.Entry, a *allowance) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if uint32(st.Mode)&unix.S_IFMT != fileType(e.Type) {
		return errType
	}
	if err := a.pass(checkOwner(e)); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", e.UID, e.GID, err)
	}
	if len(e.Xattrs) > 0 {
		if err := a.pass(unix.ENOTSUP); err != nil {
			return fmt.Errorf("set extended attributes: %w", err)
		}
	}
	if err := setTime(dir, base, e); err != nil || e.Type == images.Symlink {
		return err
	}
	if err := unix.Fchmodat(dir, base, a.mode(e), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chmod to %#o: %w", e.Mode, err)
	}
	return nil
}
