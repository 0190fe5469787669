//go:build long

package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/testdata/distros"
)

// The tests in this file do with the whole Debian what others do with the small
// cloudlet, and boot what takes the same road as something that others boot:
// other formats, other firmware, other media.

// madeHardware is made once for all tests.
var madeHardware = sync.OnceValues(func() (string, error) {
	return smallCloudlet(context.Background(), bed.StandardKernel, bed.AMD64)
})

// smallHardware is the small cloudlet with drivers for USB and AHCI too.
func smallHardware(t *testing.T) string {
	t.Helper()
	image, err := madeHardware()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestLongCardByUUID: the file says nothing of the second card, and the machine's UUID
// makes it known.
func TestLongCardByUUID(t *testing.T) {
	t.Parallel()
	const uuid = "4c4c4544-0042-3510-8052-b4c04f564433"
	installBySecondCard(t, object{"uuid": uuid}, uuid)
}

// TestLongDisk makes disks of Debian without any server, and boots them to
// their login prompt.
func TestLongDisk(t *testing.T) {
	t.Parallel()
	t.Run("BIOS", func(t *testing.T) {
		t.Parallel()
		bootDebianDisk(t, bed.BIOS, "raw")
	})
	t.Run("UEFI", func(t *testing.T) {
		t.Parallel()
		bootDebianDisk(t, bed.UEFI, "qcow2")
	})
}

// bootDebianDisk makes a disk in a format that QEMU and we call the same.
func bootDebianDisk(t *testing.T, firmware bed.Firmware, format string) {
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	const mac = "52:54:00:00:01:01"
	file := filepath.Join(t.TempDir(), "disk."+format)
	made, err := exec.CommandContext(ctx, binary, "disk", debian, "--out", file, "--free", "200MB",
		"--config", `{"args": {"role": "a disk of its own"}}`, "--env", "hostname=stick", "--env", "mac="+mac).CombinedOutput()
	if err != nil {
		t.Fatalf("make a disk: %v: %s", err, made)
	}
	m := bootAlone(ctx, t, bed.Spec{MAC: mac, Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file, Format: format}}})
	expect(ctx, t, m, `stick: a disk of its own \(Linux`)
	expect(ctx, t, m, `stick login: `)
}

// TestLongKernel starts a kernel directly, which finds its root on a raw disk
// as TestLongXenFiles's does, with the command line of the format kernel.
func TestLongKernel(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	dir := t.TempDir()
	makeSmall(ctx, t, small, filepath.Join(dir, "disk.raw"))
	makeSmall(ctx, t, small, filepath.Join(dir, "boot"), "--format", "kernel")
	cmdline, err := os.ReadFile(filepath.Join(dir, "boot", "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	m := bootAlone(ctx, t, bed.Spec{
		MAC: "52:54:00:00:02:03", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: filepath.Join(dir, "disk.raw")}},
		Kernel: &bed.Kernel{
			Image: filepath.Join(dir, "boot", "vmlinuz"), Initrd: filepath.Join(dir, "boot", "initrd"), Cmdline: strings.TrimSpace(string(cmdline)) + " root=/dev/vda3 rw",
		},
	})
	expectSmall(ctx, t, m)
	powerOff(ctx, t, m)
}

// TestLongISO boots live images on the machines that TestISO does not.
func TestLongISO(t *testing.T) {
	t.Parallel()
	ownKey := func(ctx context.Context, t *testing.T) string {
		return liveImage(small, "--secure-boot-key", plainKey(ctx, t), "--secure-boot-cert", ownerCert)(ctx, t)
	}
	smallHardware := smallHardware(t)
	bootISOs(t, []isoCase{
		{"CD/UEFI", liveImage(small), 0, bed.Spec{MAC: "52:54:00:00:06:02", Firmware: bed.UEFI}, bed.Disk{CD: true, Bus: bed.SCSI}},
		{"Stick/BIOS", liveImage(small), 0, bed.Spec{MAC: "52:54:00:00:06:03", Firmware: bed.BIOS}, bed.Disk{ReadOnly: true, Bus: bed.SCSI}},
		// A longer stick that may be written to.
		{"Stick/SecureBoot", liveImage(smallHardware, "--secure-boot"), 1 << 30, bed.Spec{MAC: "52:54:00:00:06:04", Firmware: bed.UEFI, SecureBoot: true}, bed.Disk{Bus: bed.USB}},
		{"CD/SecureBoot", liveImage(smallHardware, "--secure-boot"), 0, bed.Spec{MAC: "52:54:00:00:06:05", Firmware: bed.UEFI, SecureBoot: true}, bed.Disk{CD: true}},
		{"Stick/USB/BIOS", liveImage(smallHardware), 0, bed.Spec{MAC: "52:54:00:00:06:03", Firmware: bed.BIOS}, bed.Disk{ReadOnly: true, Bus: bed.USB}},
		{"Stick/USB/UEFI", liveImage(smallHardware), 1 << 30, bed.Spec{MAC: "52:54:00:00:06:04", Firmware: bed.UEFI}, bed.Disk{Bus: bed.USB}},
		{"CD/OwnKey", ownKey, 0, bed.Spec{MAC: "52:54:00:00:06:07", Firmware: bed.UEFI, SecureBoot: true, Vars: ownerVars}, bed.Disk{CD: true, Bus: bed.SCSI}},
		{"CD/ARM64", onARM64, 0, bed.Spec{MAC: "52:54:00:00:06:06", Arch: bed.ARM64, Firmware: bed.UEFI}, bed.Disk{CD: true, Bus: bed.SCSI}},
	})
}

// onARM64 is a live image for arm64. Its RAM disk takes the program as it is
// built for that, since this computer's own would not run there.
func onARM64(ctx context.Context, t *testing.T) string {
	t.Helper()
	root, err := smallCloudlet(ctx, bed.StandardKernel, bed.ARM64)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := bed.BuildAgent(ctx, bed.ARM64, filepath.Join("..", ".."), filepath.Join(dir, "cloudlets-arm64"), os.Stderr); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "arm64.iso")
	makeSmall(ctx, t, root, image, "--assets", dir)
	return image
}

// TestLongLayouts boots each distribution's layout. Nobody says anything about them.
func TestLongLayouts(t *testing.T) {
	t.Parallel()
	for _, l := range distros.All() {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			bootLayout(t, l.Name)
		})
	}
}

// TestLongUpdates is all of [TestUpdates], by both firmwares.
func TestLongUpdates(t *testing.T) {
	t.Parallel()
	updates(t, bed.BIOS, "52:54:00:00:08:01", true)
}

func TestLongUpdatesUEFI(t *testing.T) {
	t.Parallel()
	updates(t, bed.UEFI, "52:54:00:00:08:02", true)
}
