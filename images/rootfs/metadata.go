//go:build unix

package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// SetMetadata sets the owner, mode, extended attributes and time of the file at
// e.Path to those of e. The file must exist and have the type of e. Attributes
// that e does not name are kept. Call SetMetadata for a directory after
// everything in it is made, since each new file changes the directory's time.
// SetMetadata needs root's rights, unless the file already has the right owner.
func (d *Dirs) SetMetadata(e *images.Entry) error { return d.setMetadata(e, nil) }

// TrySetMetadata is SetMetadata for a process without root's rights. It leaves
// what it may not set unchanged; lost reports whether there was any such thing.
// If the owner cannot be set, setuid and setgid are not set either, because
// they would give away the rights of the wrong user.
func (d *Dirs) TrySetMetadata(e *images.Entry) (lost bool, err error) {
	var a allowance
	err = d.setMetadata(e, &a)
	return a.lost, err
}

func (d *Dirs) setMetadata(e *images.Entry, a *allowance) error {
	if e.Type == images.Directory {
		fd, err := d.Dir(e.Path)
		if err != nil {
			return err
		}
		return setOpen(fd, fd, ".", e, a)
	}
	dir, base, err := d.Parent(e.Path)
	if err != nil {
		return err
	}
	return setNode(dir, base, e, a)
}

// allowance collects the errors that are forgiven in a process without root's
// rights. A nil allowance forgives nothing.
type allowance struct{ lost bool }

// pass forgives and notes an error that comes from missing rights, or from a
// filesystem that does not support the request. It returns all other errors.
func (a *allowance) pass(err error) error {
	if err == nil || a == nil {
		return err
	}
	// EINVAL is the error for owners that do not exist in the user namespace.
	for _, forgiven := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOTSUP} {
		if errors.Is(err, forgiven) {
			a.lost = true
			return nil
		}
	}
	return err
}

// mode returns the mode to set, once it is known whether the owner could be
// set.
func (a *allowance) mode(e *images.Entry) uint32 {
	if a != nil && a.lost {
		return e.Mode &^ (unix.S_ISUID | unix.S_ISGID)
	}
	return e.Mode
}

// setOpen sets owner, extended attributes, time and mode of an open file or
// directory, in the only order that works: changing the owner clears setuid and
// capabilities, setting an ACL changes the mode, and the mode may take away the
// right of an ordinary user to do the rest.
func setOpen(fd, dir int, base string, e *images.Entry, a *allowance) error {
	if err := a.pass(setOwner(fd, e)); err != nil {
		return fmt.Errorf("chown to %d:%d: %w", e.UID, e.GID, err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := a.pass(setXattr(fd, name, e.Xattrs[name])); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	if err := setTime(dir, base, e); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, a.mode(e)); err != nil {
		return fmt.Errorf("chmod to %#o: %w", e.Mode, err)
	}
	return nil
}

// errType means that a file of another type is at the path.
var errType = errors.New("a file of another type is in its place")

// fileType returns the kernel's constant for a file type, or 0 if there is
// none.
func fileType(t images.Type) uint32 {
	switch t {
	case images.Regular:
		return unix.S_IFREG
	case images.Directory:
		return unix.S_IFDIR
	case images.Symlink:
		return unix.S_IFLNK
	case images.CharDevice:
		return unix.S_IFCHR
	case images.BlockDevice:
		return unix.S_IFBLK
	case images.FIFO:
		return unix.S_IFIFO
	}
	return 0
}

// setTime sets the modification time to the nanosecond and leaves the access
// time unchanged.
func setTime(dir int, base string, e *images.Entry) error {
	mtime, err := unix.TimeToTimespec(e.ModTime)
	if err != nil {
		return fmt.Errorf("set time to %s: %w", e.ModTime, err)
	}
	times := []unix.Timespec{{Nsec: OmitTime}, mtime}
	if err := unix.UtimesNanoAt(dir, base, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}
