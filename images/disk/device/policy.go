//go:build linux

package device

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
)

// ErrRefused is returned for a device that must not be written. The wrapping error
// says why, and what to do.
var ErrRefused = errors.New("this device is not written")

// Policy says which devices may be written. The zero value allows only removable
// devices. The program offers its users no other policy for writing a whole device.
type Policy struct {
	// Fixed allows built-in devices too.
	Fixed bool
	// Running allows the disk of the running system, and no other one, for a request
	// that names a slot. All of it may be in use except that slot.
	Running bool
}

// minSize is smaller than any disk with a partition table, boot loaders and a
// filesystem.
const minSize = 16 << 20

// Refusals returns the reasons why a device must not be written, each with what to do.
// If there are none, the device may be written. Size is the size in bytes of the disk
// to be written. With 0 it is the size of the device.
func (p Policy) Refusals(f Facts, size int64) (reasons []string) {
	refuse := func(is bool, format string, args ...any) {
		if is {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	refuse(f.Whole != "", "it is a partition: give the whole disk, %s", f.Whole)
	refuse(f.Size == 0, "no medium is in it: put one in")
	refuse(f.ReadOnly, "it is read-only: move its write protection, or take another one")
	refuse(!p.Fixed && !f.Portable(),
		"it is built in, neither removable nor on USB: take a USB disk or a memory card; machines' own disks are for an install over the network")
	refuse(f.Size > 0 && f.Size < minSize, "it has only %s: take a larger one", bytesize.Decimal(f.Size))
	refuse(f.Size >= minSize && size > f.Capacity(), "it has %d bytes, and the disk is to have %d: take a larger device or a smaller image", f.Capacity(), size)
	refuse(size > 0 && size < f.Capacity(), "it has %d bytes, and the disk is to have %d: a device is used whole, so leave the size out", f.Capacity(), size)
	return append(reasons, busy(f.Uses)...)
}

// busy returns the reasons that follow from the uses of a device. If the device holds
// the running system, only that is reported.
func busy(uses []Use) (reasons []string) {
	for _, u := range uses {
		if u.System {
			return []string{"it holds the running system: " + u.What + "; take another device"}
		}
		reasons = append(reasons, "it is in use: "+u.What+"; end that first: "+u.Remedy)
	}
	return reasons
}

// holdsSystem says whether the running system depends on a device.
func holdsSystem(f Facts) bool {
	return slices.ContainsFunc(f.Uses, func(u Use) bool { return u.System })
}

// CheckUpdate is [Policy.Check] for a request that writes one slot of a device.
func (p Policy) CheckUpdate(f Facts, size int64) error {
	if holdsSystem(f) {
		return fmt.Errorf("%s: %w: it holds the running system, which updates itself: run `cloudlets update` as root", f, ErrRefused)
	}
	return p.Check(f, size)
}

// check checks a device for a request.
func (h Host) check(p Policy, f Facts, r Request) error {
	switch {
	case !p.Running && r.Slot != nil:
		return p.CheckUpdate(f, r.Size)
	case !p.Running:
		return p.Check(f, r.Size)
	case r.Slot == nil || !holdsSystem(f):
		return fmt.Errorf("%s: %w: the running system is not on it", f, ErrRefused)
	}
	part, err := h.partition(f.Name, r.Slot.Number)
	if err != nil {
		return err
	}
	slot := f // for what the slot alone is used for
	if slot.Uses, err = h.uses(part); err != nil {
		return err
	}
	return Policy{Fixed: true}.Check(slot, r.Size)
}

// Check returns the refusals as one error, or nil if there are none.
func (p Policy) Check(f Facts, size int64) error {
	if reasons := p.Refusals(f, size); len(reasons) > 0 {
		return fmt.Errorf("%s: %w: %s", f, ErrRefused, strings.Join(reasons, "; "))
	}
	return nil
}
