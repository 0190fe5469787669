//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/images/disk"
	"cloudlets/images/disk/sparse"
)

// ErrDamaged says that a device does not give back what was written to it.
var ErrDamaged = errors.New("it does not hold what was written to it: replace it")

// ErrInterrupted says that a write was broken off on demand.
var ErrInterrupted = errors.New("interrupted")

// errNotRevoked says that a device may look as if it had been written.
var errNotRevoked = errors.New("its ends could not be erased again: start no machine from it")

var errSpent = errors.New("write the device: it was armed for one write, which is over: arm it again")

// Stage is a part of a write that takes its time.
type Stage string

// The stages, in their order.
const (
	Writing   Stage = "writing"
	Verifying Stage = "verifying"
)

// Content is what a device is filled with.
type Content struct {
	// Layout says where the partitions lie. It is as large as the device.
	Layout disk.Layout
	// Write writes all of it, from its beginning to its end. What it skips
	// keeps the old bytes of the device.
	Write func(ctx context.Context, w sparse.Writer) error
}

// Options shape a write. The zero value verifies and shows nothing.
type Options struct {
	// NoVerify leaves out reading back.
	NoVerify bool
	// Progress is called for bytes that have been done of a stage. Total is
	// how many there are, and 0 where that is not known. Calls do not overlap.
	Progress func(stage Stage, bytes, total int64)
}

// Result tells what a write did.
type Result struct {
	// Written and Verified are in bytes.
	Written, Verified int64
	// TableRead says that the kernel knows the new partitions. If not, the
	// device has to be plugged in again before it is of use here.
	TableRead bool
}

// Write writes the device and reads it back. Whatever fails, the device is
// not bootable and has no partition table afterwards, and the error says so.
func (a *Armed) Write(ctx context.Context, c Content, o Options) (Result, error) {
	if a.spent {
		return Result{}, errSpent
	}
	a.spent = true
	if c.Layout.Size != a.dev.size || c.Layout.Sector != a.facts.Sector {
		return Result{}, fmt.Errorf("write %s: the disk was laid out for %d bytes in sectors of %d, and the device has %d in sectors of %d",
			a.facts.Path, c.Layout.Size, c.Layout.Sector, a.dev.size, a.facts.Sector)
	}
	if err := a.checkKept(c.Layout); err != nil {
		return Result{}, err
	}
	if err := forgetPartitions(a.dev.file); err != nil {
		return Result{}, err
	}
	j := newJournal(a.dev, c.Layout, o)
	if err := j.run(ctx, c); err != nil {
		return j.result, a.explain(ctx, c.Layout, err)
	}
	j.result.TableRead = readTable(ctx, a.dev.file) == nil
	return j.result, nil
}

// checkKept makes sure that a partition that is kept is the one that a person
// saw, and is where the layout has it.
func (a *Armed) checkKept(l disk.Layout) error {
	if !l.Kept && a.keep == nil {
		return nil
	}
	now, err := disk.FindPersistent(a.dev, l.Size, l.Sector)
	if err != nil {
		return fmt.Errorf("write %s: %w", a.facts.Path, err)
	}
	planned := l.Persistent
	planned.Number = now.Number
	if a.keep == nil || !l.Kept || now != *a.keep || now != planned {
		return fmt.Errorf("write %s: %w: the partition that is to be kept is not the one that was shown; look again at what is on it", a.facts.Path, ErrRefused)
	}
	return nil
}

// explain says what a write that failed leaves behind.
func (a *Armed) explain(ctx context.Context, l disk.Layout, err error) error {
	left := "is not bootable and holds nothing whole: write it again"
	if l.Kept {
		left = "is not bootable, and its persistent partition is as it was: write it again, and keep that"
	}
	_, own := errors.AsType[deviceError](err)
	switch {
	case errors.Is(err, errNotRevoked):
		return fmt.Errorf("write %s: %w", a.facts.Path, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%w; %s %s", ErrInterrupted, a.facts.Path, left)
	case own:
		return fmt.Errorf("write %s: it was unplugged, or it is failing: plug it in again or take another one; it %s (%w)", a.facts.Path, left, err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("write %s: %w", a.facts.Path, err)
	}
	return fmt.Errorf("write %s: %w; the device %s", a.facts.Path, err, left)
}
