//go:build long

package bed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongSecureBootChangedKernel: one bit of the kernel is not as Debian signed it. It
// never runs, and the machine's screen and its trace say so.
func TestLongSecureBootChangedKernel(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "small.tar")
	content, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, content, 0o600); err != nil {
		t.Fatal(err)
	}
	changeKernels(t, image, 1)
	r := newRig(t, map[string]string{"small": image}, asServer)
	const mac = "52:54:00:00:06:03"
	r.describe(mac, signedFile("node63"))
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFI, SecureBoot: true, Disks: []bed.Disk{r.newDisk("node63")}})
	r.expect(m, `bad shim signature`)
	r.expect(m, `no disk of this machine has a boot loader`)
	trace := r.run("trace", mac)
	for _, want := range []string{"fetched shimx64.efi", "fetched grubx64.efi", "/vmlinuz by TFTP", "GRUB could not load the kernel"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}
	if strings.Contains(m.Console.Text(), "Linux version") {
		t.Error("the changed kernel ran")
	}
}
