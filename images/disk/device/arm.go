//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
)

// Request says what to write to which device.
type Request struct {
	// Path is the device's file.
	Path string
	// Size is the size of the disk in bytes, which is the device's [Facts.Capacity].
	Size int64
	// What describes for a person what is written, e.g. "image debian-12".
	What string
	// Keep is a partition that must not be written. It may be nil.
	Keep *disk.Partition
	// Slot is the one partition that is written, of a disk with two slots, see
	// [Armed.Update]. If it is nil, the whole device is.
	Slot *disk.Partition
}

// Armed is a device whose contents a person has agreed to lose: all of it, or one slot.
// Nothing else uses what is written. It can be written once.
type Armed struct {
	facts Facts
	keep  *disk.Partition
	slot  *disk.Partition
	dev   *direct
	spent bool
	// held keeps others from the slot of a disk that the running system is on; else nil.
	held *os.File
}

// Arm prepares a device to be written. It examines the device, returns an error if
// the policy forbids it, asks a person for consent, opens the device exclusively, and
// checks that it is still the device that was shown. It writes nothing. The caller
// must close the result.
func Arm(ctx context.Context, h Host, r Request, p Policy, c Consent) (*Armed, error) {
	shown, err := h.Look(r.Path)
	if err != nil {
		return nil, err
	}
	if err := h.check(p, shown, r); err != nil {
		return nil, err
	}
	if err := c.confirm(ctx, shown, r); err != nil {
		return nil, err
	}
	a := &Armed{facts: shown, keep: r.Keep, slot: r.Slot}
	file, err := a.open(h, p)
	if err != nil {
		return nil, err
	}
	a.dev = &direct{file: file, size: shown.Capacity()}
	if err := h.recheck(file, shown, p, r); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// open opens the device, and keeps others from what is written. The disk of the running
// system is in use, so there only the slot is.
func (a *Armed) open(h Host, p Policy) (file *os.File, err error) {
	if !p.Running {
		return claim(a.facts.Path, unix.O_EXCL)
	}
	part, err := h.partition(a.facts.Name, a.slot.Number)
	if err != nil {
		return nil, err
	}
	if a.held, err = claim(devicePath(part), unix.O_EXCL); err != nil {
		return nil, err
	}
	if file, err = claim(a.facts.Path, 0); err != nil {
		return nil, errors.Join(err, a.held.Close())
	}
	return file, nil
}

// Close closes the device.
func (a *Armed) Close() error {
	err := a.dev.file.Close()
	if a.held != nil {
		err = errors.Join(err, a.held.Close())
	}
	return err
}

// claim opens a device without the page cache, and usually exclusively. With O_EXCL the kernel
// refuses a device of which a part is mounted or in an array, in any namespace.
// Without O_CREATE no file is made if the device's name has disappeared.
func claim(file string, exclusively int) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDWR|exclusively|unix.O_DIRECT, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%s: %w: it is in use in a way that is not visible here, e.g. mounted in a container: end that use first (%w)", file, ErrRefused, err)
	case errors.Is(err, unix.EROFS):
		return nil, fmt.Errorf("%s: %w: it is read-only: switch off its write protection, or use another device (%w)", file, ErrRefused, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: run this as root, e.g. with sudo", err)
	}
	return f, err
}

// recheck checks that an open file is the device that was shown, and that nothing
// about it has changed. If a device is unplugged, its name and number may go to
// another device.
func (h Host) recheck(file *os.File, shown Facts, p Policy, r Request) error {
	now, err := h.Look(shown.Path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return fmt.Errorf("examine %s after opening it: %w", shown.Path, err)
	}
	same := st.Rdev == shown.Number && now.Number == shown.Number && now.Sequence == shown.Sequence && now.Disk == shown.Disk && now.Sector == shown.Sector
	if sequence, err := sequenceOf(file); err == nil && sequence != shown.Sequence {
		same = false
	}
	if length, err := lengthOf(file); err != nil || length != shown.Size {
		same = false
	}
	if !same {
		return fmt.Errorf("%s: %w: it is not the device that was shown, which was %s: check which devices are plugged in, and try again", now, ErrRefused, shown)
	}
	return h.check(p, now, r)
}
