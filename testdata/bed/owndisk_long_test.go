//go:build long

package bed_test

import (
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongUEFIOwnDiskGone puts an empty disk in the place of the one that was installed: the
// firmware goes on in its boot order.
func TestLongUEFIOwnDiskGone(t *testing.T) {
	t.Parallel()
	r, spec := installBesideAnother(t)
	spec.Firmware, spec.Disks[1] = bed.UEFIHTTP, r.newDisk("empty")
	m := r.on(spec)
	r.expect(m, `its disk does not start; the firmware goes on`)
	r.expect(m, `other login: `)
}
