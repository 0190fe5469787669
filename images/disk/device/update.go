//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/images/disk"
)

// Update has write change a device with two slots: the slot that the person was shown, and
// the state of the slots. Whether a write that fails leaves the good system as it was
// depends on write; see [disk.Layout.Update].
func (a *Armed) Update(ctx context.Context, shown disk.Layout, write func(disk.Device) error) error {
	if a.spent {
		return errSpent
	}
	a.spent = true
	now, err := disk.FindSlots(a.dev, a.dev.size, a.facts.Sector)
	if err != nil {
		return fmt.Errorf("update %s: %w", a.facts.Path, err)
	}
	if a.slot == nil || now.In(shown.Slot) != shown || *a.slot != shown.Root {
		return fmt.Errorf("update %s: %w: its slots are not those that were shown: examine the device again", a.facts.Path, ErrRefused)
	}
	err = write(fenced{a.dev, []disk.Partition{shown.Root, shown.ESP}})
	_, own := errors.AsType[deviceError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w; update %s again: %w", ErrInterrupted, a.facts.Path, err)
	case own:
		return fmt.Errorf("update %s: it was unplugged, or it is failing: plug it in again or use another device: %w", a.facts.Path, err)
	}
	return fmt.Errorf("update %s: %w", a.facts.Path, err)
}

// fenced is a device of which only some partitions can be written.
type fenced struct {
	disk.Device
	within []disk.Partition
}

// WriteAt writes into one of the partitions, or returns an error.
func (f fenced) WriteAt(p []byte, off int64) (int, error) {
	for _, part := range f.within {
		if off >= part.Offset && off+int64(len(p)) <= part.Offset+part.Size {
			return f.Device.WriteAt(p, off)
		}
	}
	return 0, fmt.Errorf("%w: %d bytes at %d are outside of what was armed", ErrRefused, len(p), off)
}
