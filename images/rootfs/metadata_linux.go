package rootfs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// OmitTime, as the nanoseconds of a timestamp, leaves that timestamp unchanged.
const OmitTime = unix.UTIME_OMIT

// setOwner sets the owner of an open file.
func setOwner(fd int, e *images.Entry) error { return unix.Fchown(fd, int(e.UID), int(e.GID)) }

// setXattr sets an extended attribute of an open file.
func setXattr(fd int, name, value string) error { return unix.Fsetxattr(fd, name, []byte(value), 0) }

// setNode is setOpen for files that cannot be opened or may be unreadable: a
// symbolic link, a device, a FIFO, or a file that already exists. The kernel
// changes their modes and extended attributes only by path. So setNode opens
// the file with O_PATH and uses the path of that descriptor in /proc, which
// always leads to the same file.
func setNode(dir int, base string, e *images.Entry, a *allowance) error {
	fd, err := openAt(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := checkType(fd, e.Type); err != nil {
		return err
	}
	if err := a.pass(unix.Fchownat(fd, "", int(e.UID), int(e.GID), unix.AT_EMPTY_PATH)); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", e.UID, e.GID, err)
	}
	at := "/proc/self/fd/" + strconv.Itoa(fd)
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := a.pass(unix.Setxattr(at, name, []byte(e.Xattrs[name]), 0)); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	if err := setTime(dir, base, e); err != nil || e.Type == images.Symlink {
		return err
	}
	if err := unix.Chmod(at, a.mode(e)); err != nil {
		return fmt.Errorf("chmod to %#o: %w", e.Mode, err)
	}
	return nil
}

func checkType(fd int, t images.Type) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != fileType(t) {
		return errType
	}
	return nil
}
