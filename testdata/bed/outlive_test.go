package bed_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk"
	"cloudlets/testdata/bed"
)

// TestGrow boots a disk that was made larger since, by each firmware: its
// system takes all of it when it starts, and foreign tools find it sound
// afterwards.
func TestGrow(t *testing.T) {
	for _, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI} {
		t.Run(string(firmware), func(t *testing.T) {
			t.Parallel()
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
			wantSoundDisk(t, file, size, "root")
			m = bootAlone(ctx, t, spec)
			expectSmall(ctx, t, m)
			if strings.Contains(m.Console.Text(), "cloudlets: the filesystem") {
				t.Error("it grew again")
			}
		})
	}
}

// TestPersistent boots a disk with a persistent partition, changes what is
// there, and boots a new version of the system with the same partition: what
// was changed is there, on a partition that takes all of a larger disk now.
func TestPersistent(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), smallPatience)
	t.Cleanup(stop)
	dir := t.TempDir()
	old, updated := filepath.Join(dir, "old.raw"), filepath.Join(dir, "new.raw")
	makeSmall(ctx, t, small, old, "--persistent-partition", "96MiB")
	spec := bed.Spec{MAC: "52:54:00:00:07:02", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: old, Bus: bed.USB}}}
	m := bootAlone(ctx, t, spec)
	expect(ctx, t, m, `cloudlets: copying what the image has at /root to the persistent partition`)
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	ask(ctx, t, m, "cat notes; echo what was added >>notes; echo lost >/srv-note; grep -c ' /root ext4 ' /proc/mounts", `what the image has\r?\n1\r?\n`)
	powerOff(ctx, t, m)
	info, err := os.Stat(old)
	if err != nil {
		t.Fatal(err)
	}
	wantSoundDisk(t, old, info.Size(), "persistent")

	makeSmall(ctx, t, small, updated, "--persistent-partition", "96MiB", "--grow", "--cmdline", "quiet")
	keepPartition(t, old, updated, info.Size())
	if err := os.Truncate(updated, info.Size()+300<<20); err != nil {
		t.Fatal(err)
	}
	spec.Disks[0].File = updated
	m = bootAlone(ctx, t, spec)
	expect(ctx, t, m, `cloudlets: partition 4 \(persistent\) grows to 396 MiB`)
	expect(ctx, t, m, `cloudlets: the filesystem on /.cloudlet/persistent grew from `)
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	ask(ctx, t, m, "cat notes; ls /srv-note; grep -c quiet /proc/cmdline", `what the image has\r?\nwhat was added\r?\nls: /srv-note: No such file or directory\r?\n1\r?\n`)
	powerOff(ctx, t, m)
	wantSoundDisk(t, updated, info.Size()+300<<20, "persistent")
	if strings.Contains(m.Console.Text(), "cloudlets: copying") {
		t.Error("what was kept was made anew")
	}
}

// ask types a line at a shell and waits for what it prints.
func ask(ctx context.Context, t *testing.T, m *bed.Machine, line, want string) {
	t.Helper()
	if err := m.Console.Type(line + "\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, want)
}

// wantSoundDisk has foreign tools look at a disk's table, and at the
// filesystem on its last partition.
func wantSoundDisk(t *testing.T, file string, size int64, last string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sgdisk", "-v", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk (Debian package gdisk): %v: %s", err, out)
	}
	c := partitionCalled(t, file, size, last)
	if c.Offset+c.Size < size-3<<20 {
		t.Errorf("the partition ends at %d of %d", c.Offset+c.Size, size)
	}
	part := filepath.Join(t.TempDir(), "part")
	copyPart(t, file, c.Offset, part, 0, c.Size)
	if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", part).CombinedOutput(); err != nil {
		t.Errorf("e2fsck (Debian package e2fsprogs): %v: %s", err, out)
	}
}

// keepPartition puts the persistent partition of one disk in the place that
// another has for it.
func keepPartition(t *testing.T, from, to string, size int64) {
	t.Helper()
	a, b := partitionCalled(t, from, size, "persistent"), partitionCalled(t, to, size, "persistent")
	if a.Offset != b.Offset || a.Size != b.Size {
		t.Fatalf("the partition is at %d, of %d bytes, on one disk and at %d, of %d bytes, on the other", a.Offset, a.Size, b.Offset, b.Size)
	}
	copyPart(t, from, a.Offset, to, b.Offset, a.Size)
}

func partitionCalled(t *testing.T, file string, size int64, label string) disk.Content {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := disk.Identify(f, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if c.Kind == "ext4" && c.Label == label {
			return c
		}
	}
	t.Fatalf("no filesystem on %s is called %s: %s", file, label, disk.Describe(found))
	return disk.Content{}
}

func copyPart(t *testing.T, from string, off int64, to string, at, size int64) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(io.NewOffsetWriter(out, at), io.NewSectionReader(in, off, size)); err != nil {
		t.Fatal(err)
	}
}
