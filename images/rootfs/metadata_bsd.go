//go:build unix && !linux

package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// OmitTime, as the nanoseconds of a timestamp, leaves that timestamp unchanged.
// It is UTIME_OMIT of sys/stat.h.
const OmitTime = -2

// setOwner never gives a file to another owner, not even as root. On this
// system a directory is always read together with its metadata file, and that
// file has the owners.
func setOwner(fd int, e *images.Entry) error {
	if err := checkOwner(e); err != nil {
		return err
	}
	return unix.Fchown(fd, int(e.UID), int(e.GID)) // a new file has the group of its directory
}

// checkOwner returns EPERM unless the entry belongs to the user and group of
// this process.
func checkOwner(e *images.Entry) error {
	if int(e.UID) != os.Geteuid() || int(e.GID) != os.Getegid() {
		return unix.EPERM
	}
	return nil
}

// setXattr always fails: the names and meanings of extended attributes are
// those of Linux.
func setXattr(int, string, string) error { return unix.ENOTSUP }

// setNode is setOpen for files that cannot be opened or may be unreadable: a
// symbolic link, or a file that already exists.
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
