//go:build long

package bed_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/source"
	"cloudlets/images/target"
	"cloudlets/provision/hardware"
	"cloudlets/testdata/bed"
)

// TestLongGrow boots a disk that grew by UEFI with the other firmware, and it does not
// grow again.
func TestLongGrow(t *testing.T) {
	t.Parallel()
	spec := grow(t, bed.UEFI)
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	spec.Firmware = bed.BIOS
	m := bootAlone(ctx, t, spec)
	expectSmall(ctx, t, m)
	if strings.Contains(m.Console.Text(), "cloudlets: the filesystem") {
		t.Error("it grew again")
	}
}

// TestLongGrowByBIOS boots a disk that was made larger since, by the other firmware.
func TestLongGrowByBIOS(t *testing.T) {
	t.Parallel()
	grow(t, bed.BIOS)
}

// grow boots the small cloudlet on a disk that was made larger since, until it is off again:
// its system takes all of the disk when it starts, and foreign tools find it sound afterwards.
func grow(t *testing.T, firmware bed.Firmware) bed.Spec {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	file := filepath.Join(t.TempDir(), "disk.raw")
	makeSmall(ctx, t, small, file, "--grow")
	const size = 1500 << 20
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	spec := bed.Spec{MAC: "52:54:00:00:07:01", Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file}}}
	m := bootAlone(ctx, t, spec)
	expect(ctx, t, m, `cloudlets: partition 3 \(root\) grows to 1\.3 GiB`)
	expect(ctx, t, m, `cloudlets: the filesystem on / grew from `)
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	// What was mounted for the work is gone, and what is there works.
	ask(ctx, t, m, "dd if=/dev/zero of=/large bs=1M count=300 2>&1 | tail -n 1; rm /large", `300\+0 records out`)
	powerOff(ctx, t, m)
	wantSoundDisk(t, file, size, target.RootLabel)
	return spec
}

// TestLongPersistent boots a disk with a persistent partition that is not as large
// as it could be, and changes what is there; then another version of the
// system is written to the disk, as to a stick, which keeps the partition: what
// was changed is there, and nothing else that was.
func TestLongPersistent(t *testing.T) {
	t.Parallel()
	t.Run("Disk", func(t *testing.T) {
		t.Parallel()
		keepPersistent(t, small, bed.Virtio)
	})
	t.Run("Stick", func(t *testing.T) {
		t.Parallel()
		keepPersistent(t, smallHardware(t), bed.USB)
	})
}

func keepPersistent(t *testing.T, image string, bus bed.Bus) {
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	file := filepath.Join(t.TempDir(), "disk.raw")
	const size = 600 << 20
	makeSmall(ctx, t, image, file, "--persistent-partition", "96MiB", "--grow")
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	spec := bed.Spec{MAC: "52:54:00:00:07:02", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: file, Bus: bus}}}
	m := bootAlone(ctx, t, spec)
	expect(ctx, t, m, `cloudlets: partition 4 \(persistent\) grows to `)
	expect(ctx, t, m, `cloudlets: copying what the image has at /root to the persistent partition`)
	expect(ctx, t, m, `cloudlets: the filesystem on /.cloudlet/persistent grew from `)
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	ask(ctx, t, m, "cat notes; echo what was added >>notes; echo lost >/note; grep -c ' /root ext4 ' /proc/mounts", `what the image has\r?\n1\r?\n`)
	powerOff(ctx, t, m)
	wantSoundDisk(t, file, size, "persistent")

	writeKeeping(ctx, t, image, file)
	wantSoundDisk(t, file, size, "persistent")
	m = bootAlone(ctx, t, spec)
	expect(ctx, t, m, `stick: an update \(Linux`)
	expect(ctx, t, m, `stick login: `)
	logIn(ctx, t, m)
	ask(ctx, t, m, "cat notes; ls /note", `what the image has\r?\nwhat was added\r?\nls: /note: No such file or directory`)
	powerOff(ctx, t, m)
	if strings.Contains(m.Console.Text(), "cloudlets: copying") {
		t.Error("what was kept was made anew")
	}
}

// writeKeeping writes another version of the small cloudlet to the disk in a
// file, as to a device with a persistent partition that is kept.
func writeKeeping(ctx context.Context, t *testing.T, image, file string) {
	t.Helper()
	configured := filepath.Join(t.TempDir(), "update.tar")
	command(ctx, t, binary, "tar", image, "--out", configured, "--config", `{"args": {"role": "an update"}}`, "--env", "hostname=stick")
	im, err := source.Open(ctx, configured, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	tree, err := im.Tree(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loop := command(ctx, t, "losetup", "--find", "--show", file)
	defer command(context.WithoutCancel(ctx), t, "losetup", "--detach", loop)
	sys, serial := os.DirFS("/sys"), "STICK-1"
	host := device.Host{Sys: sys, Proc: os.DirFS("/proc"), Describe: func(name string) device.Disk {
		d := hardware.Disk(sys, name)
		return device.Disk{Name: d.Name, Serial: serial, Size: d.Size}
	}}
	facts, err := host.Look(loop)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := os.Open(loop)
	if err != nil {
		t.Fatal(err)
	}
	keep, err := disk.FindPersistent(dev, facts.Capacity(), facts.Sector)
	if err := errors.Join(err, dev.Close()); err != nil {
		t.Fatal(err)
	}
	d, err := target.NewDisk(ctx, target.System{Name: im.Name, Manifest: im.Manifest, Source: im.Source, Tree: tree}, target.Options{
		Size: facts.Capacity(), Sector: facts.Sector, Stale: true, Keep: &keep, Program: func(string) (io.ReadCloser, int64, error) {
			info, err := os.Stat(binary)
			if err != nil {
				return nil, 0, err
			}
			program, err := os.Open(binary)
			return program, info.Size(), err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	loaders, err := bootloader.Assets{Tree: tree}.LoadNamed(ctx, bootloader.LoaderNames(d.Layout.Arch)...)
	if err != nil {
		t.Fatal(err)
	}
	armed, err := device.Arm(ctx, host, device.Request{Path: loop, Size: d.Size(), What: "an update", Keep: &keep}, device.Policy{Fixed: true}, device.BySerial(serial))
	if err != nil {
		t.Fatal(err)
	}
	_, err = armed.Write(ctx, device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }}, device.Options{})
	if err := errors.Join(err, armed.Close()); err != nil {
		t.Fatal(err)
	}
}
