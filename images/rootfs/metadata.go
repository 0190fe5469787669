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

// SetMetadata gives the file at e.Path, which is there and of e's type, the
// owner, mode, extended attributes and time of e. Attributes that e does not
// name stay. A directory's time changes with what is made in it, so that it
// comes last. It takes root, save for what belongs to the user already.
func (d *Dirs) SetMetadata(e *images.Entry) error { return d.setMetadata(e, nil) }

// TrySetMetadata is SetMetadata without the rights of root: what the process
// may not set is left as it is, and lost tells whether there was any. Where
// the owner cannot be set neither are setuid and setgid, which would give away
// the rights of whoever the file belongs to.
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

// allowance is what a process without root's rights is forgiven. nil is
// nothing.
type allowance struct{ lost bool }

// pass takes note of an error that comes of missing rights, or of a
// filesystem that does not know what was asked of it, and lets others through.
func (a *allowance) pass(err error) error {
	if err == nil || a == nil {
		return err
	}
	// EINVAL is for owners that a user namespace does not know.
	for _, forgiven := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOTSUP} {
		if errors.Is(err, forgiven) {
			a.lost = true
			return nil
		}
	}
	return err
}

// mode is the mode to set after the owner was, or was not.
func (a *allowance) mode(e *images.Entry) uint32 {
	if a != nil && a.lost {
		return e.Mode &^ (unix.S_ISUID | unix.S_ISGID)
	}
	return e.Mode
}

// setOpen sets owner, extended attributes, time and mode of an open file or
// directory, in the one order that works: a change of owner takes setuid and
// capabilities away, an ACL changes the mode, and a mode may take the right to
// do the rest from a user who is not root.
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

// errType says that a file is there, but another one than was thought.
var errType = errors.New("a file of another type is in its place")

// fileType is the kernel's word for a type of file; 0 is none.
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

// setTime sets the time of modification to the nanosecond. The time of access
// stays that of the writing.
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
