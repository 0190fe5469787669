//go:build long

package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// formatCase is a format of disk, and a machine that boots it.
type formatCase struct {
	format   string // as we call it
	flags    []string
	disk     bed.Disk // how it is attached
	firmware bed.Firmware
	member   string // of the archive that is made, where the disk is in one
}

// TestLongFormats boots the small cloudlet to its login prompt by each firmware, from each
// bus and out of each format. That a format holds what the raw disk does is tested where
// they are written, by the code that QEMU reads them with.
func TestLongFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []formatCase{
		{"qcow2", []string{"--compress", "zlib"}, bed.Disk{Format: "qcow2", Bus: bed.NVMe}, bed.UEFI, ""},
		{"vmdk", nil, bed.Disk{Format: "vmdk", Bus: bed.SCSI, Snapshot: true}, bed.BIOS, ""},
		{"raw", nil, bed.Disk{Bus: bed.AHCI}, bed.BIOS, ""},
		{"raw", nil, bed.Disk{Bus: bed.USB}, bed.UEFI, ""},
		{"vmdk-sparse", nil, bed.Disk{Format: "vmdk", Bus: bed.AHCI}, bed.UEFI, ""},
		{"vdi", nil, bed.Disk{Format: "vdi"}, bed.BIOS, ""},
		{"vhd", nil, bed.Disk{Format: "vpc", Bus: bed.AHCI}, bed.BIOS, ""},
		{"vhd-fixed", nil, bed.Disk{Format: "vpc", Bus: bed.SCSI}, bed.UEFI, ""},
		{"qcow2", nil, bed.Disk{Format: "qcow2", Bus: bed.USB}, bed.BIOS, ""},
		{"qcow2", []string{"--compress", "zstd"}, bed.Disk{Format: "qcow2"}, bed.BIOS, ""},
		{"vhdx", nil, bed.Disk{Format: "vhdx", Bus: bed.SCSI}, bed.BIOS, ""},
		{"ova", nil, bed.Disk{Format: "vmdk", Bus: bed.SCSI, Snapshot: true}, bed.BIOS, "*.vmdk"},
		{"gce", nil, bed.Disk{Bus: bed.SCSI}, bed.BIOS, "disk.raw"},
		{"ec2", nil, bed.Disk{Bus: bed.NVMe}, bed.UEFI, ""},
	} {
		name := c.format + strings.Join(c.flags, "")
		t.Run(name+"/"+string(c.firmware), func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), smallPatience)
			t.Cleanup(stop)
			c.disk.File = filepath.Join(t.TempDir(), "disk")
			makeSmall(ctx, t, smallFor(t, c.disk, c.firmware), c.disk.File, append([]string{"--format", c.format}, c.flags...)...)
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
func smallFor(t *testing.T, d bed.Disk, firmware bed.Firmware) string {
	if d.Bus == bed.USB || d.Bus == bed.AHCI && firmware != bed.BIOS {
		return smallHardware(t)
	}
	return small
}

// TestLongRAMDisk boots what is no disk: a RAM disk with the image's kernel. The
// machine lets root in, and goes off when it is told to.
func TestLongRAMDisk(t *testing.T) {
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

// TestLongXenFiles boots what a Xen domain is started with, the kernel, its RAM
// disk, and the command line of its configuration, on QEMU: that finds its
// root on the disk beside them.
func TestLongXenFiles(t *testing.T) {
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
