//go:build long

package bed_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/testdata/distros"
)

// bootLayout makes a cloudlet of a distribution's layout, and a disk of it, with
// no flag, and boots it until its init says that it is up.
func bootLayout(t *testing.T, name string) {
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	parts, root, disk := t.TempDir(), filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), "disk.img")
	if out, err := exec.CommandContext(ctx, "tar", "-x", "-f", small, "-C", parts).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", small, err, out)
	}
	if err := distros.Named(name).Make(parts, root); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", root}, {"disk", root, "--out", disk}} {
		if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("cloudlets %s: %v: %s", args[0], err, out)
		}
	}
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:09:01", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: disk}}})
	expect(ctx, t, m, name+` is up with .*root=UUID=`)
}
