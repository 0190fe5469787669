//go:build linux

package device

import (
	"errors"
	"fmt"
	"strings"

	"cloudlets/images/bytesize"
)

// ErrRefused says that a device must not be written. What it comes with says
// why, and what to do.
var ErrRefused = errors.New("this device is not written")

// Policy says which devices may be written. The zero value allows removable
// ones, and is the only policy for people.
type Policy struct {
	// Fixed allows devices that are built in.
	Fixed bool
}

// minSize is less than any disk with a partition table, boot loaders and a
// filesystem has.
const minSize = 16 << 20

// Refusals are the reasons why a device must not be written, each with what
// to do; none is that it may. Size is what the disk is to have, in bytes; 0
// is as much as the device has.
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

// busy are the reasons that come from what a device is used for. Where it
// holds the running system, nothing else is of interest.
func busy(uses []Use) (reasons []string) {
	for _, u := range uses {
		if u.System {
			return []string{"it holds the running system: " + u.What + "; take another device"}
		}
		reasons = append(reasons, "it is in use: "+u.What+"; end that first: "+u.Remedy)
	}
	return reasons
}

// Check is the refusals as one error, nil where there is none.
func (p Policy) Check(f Facts, size int64) error {
	if reasons := p.Refusals(f, size); len(reasons) > 0 {
		return fmt.Errorf("%s: %w: %s", f, ErrRefused, strings.Join(reasons, "; "))
	}
	return nil
}
