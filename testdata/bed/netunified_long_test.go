//go:build long

package bed_test

import (
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongSecureBootOwnKeyChanged: one bit of the signed program is not as the owner
// signed it. The firmware refuses it.
func TestLongSecureBootOwnKeyChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	r.configure(r.withOwnKey())
	const mac = "52:54:00:00:06:06"
	r.describe(mac, ownedFile("node66"))
	spec := bed.Spec{MAC: mac, Firmware: bed.UEFIHTTP, SecureBoot: true, Vars: ownerVars, Disks: []bed.Disk{r.newDisk("node66")}}
	m := r.on(spec)
	r.expect(m, `Linux version`) // as it was signed, it starts
	m.Stop()
	r.changeSignedProgram()
	m = r.on(spec)
	r.expect(m, `Access [Dd]enied|Security [Vv]iolation`)
	if strings.Contains(m.Console.Text(), "Linux version") {
		t.Error("the changed program ran")
	}
}
