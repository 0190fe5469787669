//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/images/disk"
	"cloudlets/images/disk/sparse"
)

// ErrDamaged is returned for a device that does not return what was written to it.
var ErrDamaged = errors.New("the device does not store what is written to it: replace it")

// ErrInterrupted is returned if a write was stopped on request.
var ErrInterrupted = errors.New("interrupted")

// errNotRevoked is returned if an incompletely written device may look complete.
var errNotRevoked = errors.New("the device's ends could not be erased again: do not start a machine from it")

var errSpent = errors.New("write the device: it was armed for a single write, which has already taken place: arm it again")

// Stage is a part of a write whose progress is reported.
type Stage string

// The stages, in their order.
const (
	Writing   Stage = "writing"
	Verifying Stage = "verifying"
)

// Content is the disk that is written to a device.
type Content struct {
	// Layout says where the partitions lie. It is as large as the device.
	Layout disk.Layout
	// Write writes the whole disk from its beginning to its end. Skipped bytes keep
	// their old content on the device.
	Write func(ctx context.Context, w sparse.Writer) error
}

// Options control a write. The zero value verifies it and reports no progress.
type Options struct {
	// NoVerify skips reading back.
	NoVerify bool
	// Progress is called with the number of bytes of a stage that are done. Total is
	// the number of all its bytes, or 0 if that is unknown. Calls do not overlap.
	Progress func(stage Stage, bytes, total int64)
}

// Result reports what a write did.
type Result struct {
	// Written and Verified are in bytes.
	Written, Verified int64
	// TableRead says that the kernel knows the new partitions. If it does not, the
	// device must be plugged in again before it can be used on this computer.
	TableRead bool
}

// Write writes the device and reads it back. If it fails after it began to write,
// the device is not bootable, and its partition table lists at most the kept
// partition. The error says so, or it says that this could not be ensured.
func (a *Armed) Write(ctx context.Context, c Content, o Options) (Result, error) {
	if a.spent {
		return Result{}, errSpent
	}
	a.spent = true
	if a.slot != nil {
		return Result{}, fmt.Errorf("write %s: %w: it was armed for an update of one slot", a.facts.Path, ErrRefused)
	}
	if c.Layout.Size != a.dev.size || c.Layout.Sector != a.facts.Sector {
		return Result{}, fmt.Errorf("write %s: the disk was laid out for %d bytes in sectors of %d, but the device has %d in sectors of %d",
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

// checkKept checks that the kept partition is the one that was shown to the person,
// and that it lies where the layout says.
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
		return fmt.Errorf("write %s: %w: the partition to be kept is not the one that was shown: examine the device again", a.facts.Path, ErrRefused)
	}
	return nil
}

// explain adds to an error the state in which the failed write leaves the device.
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
		return fmt.Errorf("write %s: it was unplugged, or it is failing: plug it in again or use another device; it %s (%w)", a.facts.Path, left, err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("write %s: %w", a.facts.Path, err)
	}
	return fmt.Errorf("write %s: %w; the device %s", a.facts.Path, err, left)
}
