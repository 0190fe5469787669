//go:build long

package bed_test

import (
	"regexp"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongRescueWithTooLittleMemory: the machine says so before it fetches the image, on its
// console and in its trace.
func TestLongRescueWithTooLittleMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	const mac = "52:54:00:00:00:44"
	r.describe(mac, object{"image": "small", "hostname": "node44"})
	r.run("boot", mac, "--once", "rescue")
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Memory: 192})
	if _, err := m.Console.Expect(r.ctx, tooLittle); err != nil {
		t.Fatal(err)
	}
	if trace := r.run("trace", mac); !tooLittle.MatchString(trace) {
		t.Errorf("the trace does not say why:\n%s", trace)
	}
}

var tooLittle = regexp.MustCompile(`small takes [0-9.]+ MB of memory unpacked, and a rescue [0-9.]+ MB to work: this machine has [0-9.]+ MB left`)
