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

// bootLayout makes a cloudlet of a distribution's layout, with no flag. It boots the cloudlet from a
// disk, as a live image, and by an install over the network, until its init says that it is up.
func bootLayout(t *testing.T, name string) {
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	parts, root, made := t.TempDir(), filepath.Join(t.TempDir(), name), t.TempDir()
	if out, err := exec.CommandContext(ctx, "tar", "-x", "-f", small, "-C", parts).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", small, err, out)
	}
	if err := distros.Named(name).Make(parts, root); err != nil {
		t.Fatal(err)
	}
	disk, iso := bed.Disk{File: filepath.Join(made, "disk.img")}, bed.Disk{File: filepath.Join(made, "live.iso"), CD: true}
	for _, args := range [][]string{{"init", root}, {"disk", root, "--out", disk.File}, {"disk", root, "--out", iso.File}} {
		if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("cloudlets %s: %v: %s", args[0], err, out)
		}
	}
	// A kernel without an initrd, which has no driver for disks either, starts where it is given a
	// RAM disk: as init says.
	media, handover, ended := []bed.Disk{disk, iso}, "reboot", (*rig).wentToDisk
	if name == "busybox" {
		media, handover, ended = []bed.Disk{iso}, "switch", (*rig).installed
	}
	for _, medium := range media {
		m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:09:01", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{medium}})
		expect(ctx, t, m, name+` is up with `)
		m.Stop()
	}
	r := newRig(t, map[string]string{"image": root}, asServer)
	const mac = "52:54:00:00:09:02"
	r.describe(mac, object{"image": "image", "hostname": "node", "install": "once", "handover": handover})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node")}})
	r.expect(m, name+` is up with `)
	ended(r, mac, 1)
}
