package pack

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// seal gives a regular file its metadata and closes it. A filesystem may tell
// of a failed write only at close.
func seal(fd, dir int, base string, e *images.Entry) error {
	err := setMetadata(fd, dir, base, e)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	return err
}

// setMetadata sets owner, mode, extended attributes and time of an open file
// or directory, in the one order that works: a change of owner takes setuid
// and capabilities away, and any change of an attribute may touch the time.
func setMetadata(fd, dir int, base string, e *images.Entry) error {
	if err := unix.Fchown(fd, int(e.UID), int(e.GID)); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", e.UID, e.GID, err)
	}
	if err := unix.Fchmod(fd, e.Mode); err != nil {
		return fmt.Errorf("chmod to %#o: %w", e.Mode, err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := unix.Fsetxattr(fd, name, []byte(e.Xattrs[name]), 0); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	return setTime(dir, base, e)
}

// sealNode is setMetadata for what cannot be opened: a symbolic link, a
// device, a FIFO. The kernel sets their extended attributes by path only; all
// directories of the path are ones that were made or checked by us.
func sealNode(name string, dir int, base string, e *images.Entry) error {
	if err := unix.Fchownat(dir, base, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", e.UID, e.GID, err)
	}
	if e.Type != images.Symlink {
		if err := unix.Fchmodat(dir, base, e.Mode, 0); err != nil {
			return fmt.Errorf("chmod to %#o: %w", e.Mode, err)
		}
	}
	for _, attr := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := unix.Lsetxattr(name, attr, []byte(e.Xattrs[attr]), 0); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", attr, err)
		}
	}
	return setTime(dir, base, e)
}

// setTime sets the time of modification to the nanosecond. The time of access
// stays that of the installation.
func setTime(dir int, base string, e *images.Entry) error {
	mtime, err := unix.TimeToTimespec(e.ModTime)
	if err != nil {
		return fmt.Errorf("set time to %s: %w", e.ModTime, err)
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
	if err := unix.UtimesNanoAt(dir, base, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}
