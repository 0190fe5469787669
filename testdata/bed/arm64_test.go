//go:build long

package bed_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongARM64 installs machines of arm64 from this computer: by each loader that
// there may be and each way of UEFI, with the agent that is built for them. One of them
// has a kernel that is packed with gzip, and starts it from the network and its disk.
func TestLongARM64(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, mac, loader string
		firmware          bed.Firmware
		handover          string
		packed            bool
		told              []string // by the trace
	}{
		{"PXE", "52:54:00:00:0a:01", ipxeARM64, bed.UEFI, "switch", false, []string{"fetched ipxe-arm64.efi"}},
		{"GRUB", "52:54:00:00:0a:02", grubARM64, bed.UEFI, "reboot", true, []string{"fetched grubnetaa64.efi", "/vmlinuz by TFTP"}},
		{"HTTP", "52:54:00:00:0a:03", ipxeARM64, bed.UEFIHTTP, "kexec", false, []string{"UEFI HTTP Boot", "boot loader ipxe-arm64.efi"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newARM64Rig(t, c.packed, c.loader)
			r.describe(c.mac, object{"image": "small", "hostname": "arm1", "install": "once", "handover": c.handover,
				"config": object{"args": object{"role": "an arm64 machine"}}})
			spec := bed.Spec{MAC: c.mac, Arch: bed.ARM64, Firmware: c.firmware, Disks: []bed.Disk{r.newDisk("arm1")}}
			m := r.on(spec)
			r.expect(m, `arm1: an arm64 machine \(Linux`)
			r.expect(m, `arm1 login: `)
			logIn(r.ctx, t, m)
			if err := m.Console.Type("uname -m\n"); err != nil {
				t.Fatal(err)
			}
			r.expect(m, `\naarch64`)
			trace := r.run("trace", c.mac)
			for _, want := range c.told {
				if !strings.Contains(trace, want) {
					t.Errorf("want %q in the trace:\n%s", want, trace)
				}
			}
			if state := r.machine(c.mac); state.Installs != 1 || state.Armed || state.Failure != "" {
				t.Errorf("the machine is in stage %s with %d installs, armed %v, failure %q", state.Stage, state.Installs, state.Armed, state.Failure)
			}
			if c.handover != "switch" {
				return
			}
			m.Stop()
			m = r.on(spec) // from the network to its own disk
			r.expect(m, `arm1 login: `)
			r.wentToDisk(c.mac, 1)
		})
	}
}

// TestLongARM64Disk boots a raw disk on an arm64 machine, by systemd-boot. The boot
// loader comes out of the image.
func TestLongARM64Disk(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	image, err := smallCloudlet(ctx, bed.StandardKernel, bed.ARM64)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "disk.raw")
	makeSmall(ctx, t, image, file)
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:02:04", Arch: bed.ARM64, Firmware: bed.UEFI, LocalOnly: true, Disks: []bed.Disk{{File: file}}})
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	if err := m.Console.Type("uname -m\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, `\naarch64`)
}
