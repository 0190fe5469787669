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

// Request is what is to be written where.
type Request struct {
	// Path is the device's file.
	Path string
	// Size is the disk's, in bytes: the device's [Facts.Capacity].
	Size int64
	// What says for a person what is written: "image debian-12".
	What string
	// Keep is a partition that is not to be written; nil is none.
	Keep *disk.Partition
}

// Armed is a device that a person has agreed to lose the contents of, and
// that nothing else uses. It is good for one write.
type Armed struct {
	facts Facts
	keep  *disk.Partition
	dev   *direct
	spent bool
}

// Arm gets a device ready to be written: it looks what it is, refuses what
// the policy forbids, has a person consent, claims the device for itself
// alone, and makes sure that it still is what was shown. Nothing is written.
// The caller closes what it returns.
func Arm(ctx context.Context, h Host, r Request, p Policy, c Consent) (*Armed, error) {
	shown, err := h.Look(r.Path)
	if err != nil {
		return nil, err
	}
	if err := p.Check(shown, r.Size); err != nil {
		return nil, err
	}
	if err := c.confirm(ctx, shown, r); err != nil {
		return nil, err
	}
	file, err := claim(shown.Path)
	if err != nil {
		return nil, err
	}
	if err := h.recheck(file, shown, p, r.Size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Armed{facts: shown, keep: r.Keep, dev: &direct{file: file, size: shown.Capacity()}}, nil
}

// Close lets the device go.
func (a *Armed) Close() error { return a.dev.file.Close() }

// claim opens a device that nothing else uses, past the page cache. O_EXCL
// makes the kernel refuse one of which a part is mounted or in an array, in
// any namespace; without O_CREATE a name that is gone stays gone.
func claim(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDWR|unix.O_EXCL|unix.O_DIRECT, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("%s: %w: something uses it that does not show here, such as a mount in a container: end that first (%w)", file, ErrRefused, err)
	case errors.Is(err, unix.EROFS):
		return nil, fmt.Errorf("%s: %w: it is read-only: move its write protection, or take another one (%w)", file, ErrRefused, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: run this as root, for instance with sudo", err)
	}
	return f, err
}

// recheck makes sure that an open file is the device that was shown, and that
// nothing has changed about it: names and numbers go to another device when
// one is unplugged.
func (h Host) recheck(file *os.File, shown Facts, p Policy, size int64) error {
	now, err := h.Look(shown.Path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s, which was opened: %w", shown.Path, err)
	}
	same := st.Rdev == shown.Number && now.Number == shown.Number && now.Sequence == shown.Sequence && now.Disk == shown.Disk && now.Sector == shown.Sector
	if sequence, err := sequenceOf(file); err == nil && sequence != shown.Sequence {
		same = false
	}
	if length, err := lengthOf(file); err != nil || length != shown.Size {
		same = false
	}
	if !same {
		return fmt.Errorf("%s: %w: it is another device than the one that was shown, which was %s; look again at what is plugged in", now, ErrRefused, shown)
	}
	return p.Check(now, size)
}
