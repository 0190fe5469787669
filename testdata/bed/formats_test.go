package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/testdata/bed"
)

// smallWords is what the small cloudlet's login screen says of the machine
// that the tests make.
const smallWords = `stick: a disk of its own \(Linux`

// smallPatience bounds a boot of the small cloudlet, which takes half a minute.
const smallPatience = 6 * time.Minute

// formatCase is a format of disk, and a machine that boots it.
type formatCase struct {
	format   string // as we call it
	flags    []string
	disk     bed.Disk // how it is attached
	firmware bed.Firmware
	member   string // of the archive that is made, where the disk is in one
}

// TestFormats boots the small cloudlet to its login prompt by each firmware, from
// a bus that its disk was not made on, and out of a format that is not the disk itself.
// TestLongFormats has the other buses and formats. That a format holds what the raw
// disk does is tested where they are written, by the code that QEMU reads them
// with.
func TestFormats(t *testing.T) {
	t.Parallel()
	bootFormats(t, []formatCase{
		{"qcow2", []string{"--compress", "zlib"}, bed.Disk{Format: "qcow2", Bus: bed.NVMe}, bed.UEFI, ""},
		{"vmdk", nil, bed.Disk{Format: "vmdk", Bus: bed.SCSI, Snapshot: true}, bed.BIOS, ""},
	})
}

func bootFormats(t *testing.T, cases []formatCase) {
	for _, c := range cases {
		name := c.format + strings.Join(c.flags, "")
		t.Run(name+"/"+string(c.firmware), func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), smallPatience)
			t.Cleanup(stop)
			c.disk.File = filepath.Join(t.TempDir(), "disk")
			makeSmall(ctx, t, smallFor(c.disk, c.firmware), c.disk.File, append([]string{"--format", c.format}, c.flags...)...)
			if c.member != "" {
				c.disk.File = unpackMember(ctx, t, c.disk.File, c.member)
			}
			m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:02:01", Firmware: c.firmware, LocalOnly: true, Disks: []bed.Disk{c.disk}})
			expectSmall(ctx, t, m)
		})
	}
}

// smallFor is the small cloudlet that has a driver for a disk. The cloud's kernel
// is for what is virtual, and IDE.
func smallFor(d bed.Disk, firmware bed.Firmware) string {
	if d.Bus == bed.USB || d.Bus == bed.AHCI && firmware != bed.BIOS {
		return smallHardware
	}
	return small
}

// TestRAMDisk boots what is no disk: a RAM disk with the image's kernel. The
// machine lets root in, and goes off when it is told to.
func TestRAMDisk(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	dir := t.TempDir()
	makeSmall(ctx, t, small, filepath.Join(dir, "root.cpio"))
	makeSmall(ctx, t, small, filepath.Join(dir, "boot"), "--format", "kernel")
	m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:02:02", Firmware: bed.BIOS, LocalOnly: true, Kernel: &bed.Kernel{
		Image: filepath.Join(dir, "boot", "vmlinuz"), Initrd: filepath.Join(dir, "root.cpio"), Cmdline: "console=ttyS0",
	}})
	expectSmall(ctx, t, m)
	powerOff(ctx, t, m)
}

// TestXenFiles boots what a Xen domain is started with, the kernel, its RAM
// disk, and the command line of its configuration, on QEMU: that finds its
// root on the disk beside them.
func TestXenFiles(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	dir := filepath.Join(t.TempDir(), "domain")
	makeSmall(ctx, t, small, dir, "--format", "xen")
	config, err := os.ReadFile(filepath.Join(dir, "pvh.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	_, cmdline, _ := strings.Cut(string(config), "\ncmdline = '")
	cmdline, _, found := strings.Cut(cmdline, "'\n")
	if !found {
		t.Fatalf("no command line is in %s", config)
	}
	m := bootAlone(ctx, t, bed.Spec{
		MAC: "52:54:00:00:02:05", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: filepath.Join(dir, "disk.raw")}},
		Kernel: &bed.Kernel{Image: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"), Cmdline: cmdline + " console=ttyS0"},
	})
	expectSmall(ctx, t, m)
}

// makeSmall makes something of a small cloudlet.
func makeSmall(ctx context.Context, t *testing.T, image, out string, flags ...string) {
	t.Helper()
	args := append([]string{"disk", image, "--out", out, "--config", `{"args": {"role": "a disk of its own"}}`, "--env", "hostname=stick"}, flags...)
	if made, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v: %s", filepath.Base(out), err, made)
	}
}

// expectSmall waits for the login screen.
func expectSmall(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	expect(ctx, t, m, smallWords)
	expect(ctx, t, m, `stick login: `)
}

// logIn logs in as root, who needs no password.
func logIn(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	if err := m.Console.Type("root\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, `/root # `)
}

// powerOff logs in and switches the machine off.
func powerOff(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	logIn(ctx, t, m)
	if err := m.Console.Type("poweroff\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-ctx.Done():
		t.Fatalf("the machine did not go off; its console ends:\n%s", m.Console.Tail())
	}
}

// unpackMember unpacks the one file of a tar archive whose name matches.
func unpackMember(ctx context.Context, t *testing.T, archive, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(ctx, "tar", "-x", "-S", "-f", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", archive, err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d files of the archive are called %s (%v)", len(found), pattern, err)
	}
	return found[0]
}
