package bed_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// TestISO boots live images as a CD and from a stick that one was copied to,
// by each firmware. What a person changes is there until the machine goes off,
// and not on the medium, which no machine here could write to anyway: that is
// compared where one could.
func TestISO(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	image := filepath.Join(t.TempDir(), "live.iso")
	makeSmall(ctx, t, small, image)
	stick := filepath.Join(t.TempDir(), "stick.iso")
	makeSmall(ctx, t, smallHardware, stick)
	signed := filepath.Join(t.TempDir(), "signed.iso")
	makeSmall(ctx, t, smallHardware, signed, "--secure-boot")
	own := filepath.Join(t.TempDir(), "own.iso")
	makeSmall(ctx, t, small, own, "--secure-boot-key", plainKey(ctx, t), "--secure-boot-cert", ownerCert)
	for _, c := range []struct {
		name string
		spec bed.Spec
	}{
		{"CD/BIOS", bed.Spec{MAC: "52:54:00:00:06:01", Firmware: bed.BIOS, Disks: []bed.Disk{{File: image, CD: true}}}},
		{"CD/UEFI", bed.Spec{MAC: "52:54:00:00:06:02", Firmware: bed.UEFI, Disks: []bed.Disk{{File: image, CD: true, Bus: bed.SCSI}}}},
		{"CD/SecureBoot", bed.Spec{MAC: "52:54:00:00:06:05", Firmware: bed.UEFI, SecureBoot: true, Disks: []bed.Disk{{File: signed, CD: true}}}},
		{"CD/OwnKey", bed.Spec{MAC: "52:54:00:00:06:07", Firmware: bed.UEFI, SecureBoot: true, Vars: ownerVars, Disks: []bed.Disk{{File: own, CD: true, Bus: bed.SCSI}}}},
		{"CD/ARM64", bed.Spec{MAC: "52:54:00:00:06:06", Arch: bed.ARM64, Firmware: bed.UEFI, Disks: []bed.Disk{{File: onARM64(ctx, t), CD: true, Bus: bed.SCSI}}}},
		{"Stick/BIOS", bed.Spec{MAC: "52:54:00:00:06:03", Firmware: bed.BIOS, Disks: []bed.Disk{{File: stick, ReadOnly: true, Bus: bed.USB}}}},
		{"Stick/UEFI", bed.Spec{MAC: "52:54:00:00:06:04", Firmware: bed.UEFI, Disks: []bed.Disk{onLongerStick(t, stick)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), smallPatience)
			t.Cleanup(stop)
			c.spec.LocalOnly = true
			m := bootAlone(ctx, t, c.spec)
			expectSmall(ctx, t, m)
			logIn(ctx, t, m)
			changeAndLook(ctx, t, m)
			powerOff(ctx, t, m)
			if disk := c.spec.Disks[0]; !disk.CD && !beginsWith(t, disk.File, stick) {
				t.Errorf("the medium was changed while its system ran")
			}
		})
	}
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
	if err := bed.BuildFor(ctx, bed.ARM64, filepath.Join("..", ".."), filepath.Join(dir, "cloudlets-arm64"), os.Stderr); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "arm64.iso")
	makeSmall(ctx, t, root, image, "--assets", dir)
	return image
}

// changeAndLook changes a file of the image, adds one, and looks at both.
func changeAndLook(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	if err := m.Console.Type("echo more >>/etc/hostname && touch /new && cat /etc/hostname && stat -c '%n is %u:%g %a' / /new && grep -c ' / overlay ' /proc/mounts\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, `\nstick\r?\nmore\r?\n/ is 0:0 755\r?\n/new is 0:0 644\r?\n1\r?\n`)
}

// onLongerStick is a stick with more room than the image that was copied to
// it, and which may be written to.
func onLongerStick(t *testing.T, image string) bed.Disk {
	t.Helper()
	stick := filepath.Join(t.TempDir(), "stick.raw")
	if out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", image, stick).CombinedOutput(); err != nil {
		t.Fatalf("copy the image to a stick: %v: %s", err, out)
	}
	if err := os.Truncate(stick, 1<<30); err != nil {
		t.Fatal(err)
	}
	return bed.Disk{File: stick, Bus: bed.USB}
}

// beginsWith says whether a file begins with what is in another.
func beginsWith(t *testing.T, file, start string) bool {
	t.Helper()
	want, err := os.ReadFile(start)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(want))
	_, err = f.ReadAt(got, 0)
	return err == nil && bytes.Equal(got, want)
}
