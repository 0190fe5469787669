package preinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

// tool runs a foreign program.
func tool(t *testing.T, debianPackage, name string, args ...string) string {
	t.Helper()
	name = needs.Tool(t, name, debianPackage)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute) // also while the test cleans up
	defer stop()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// newDisk is a disk in a file, with a filesystem on its last partition.
func newDisk(t *testing.T, o disk.Options) (file *os.File, last disk.Partition) {
	t.Helper()
	const size = 300 << 20
	l, err := disk.NewLayout(size, 512, o)
	check(t, err)
	table, err := l.Table()
	check(t, err)
	file, err = os.Create(filepath.Join(t.TempDir(), "disk"))
	check(t, err)
	t.Cleanup(func() { _ = file.Close() })
	check(t, file.Truncate(size))
	_, first := file.WriteAt(table.First, 0)
	_, backup := file.WriteAt(table.Backup, table.BackupOffset)
	parts := l.Partitions()
	last = parts[len(parts)-1]
	check(t, first, backup, ext4.Format(t.Context(), sparse.At(file, last.Offset), ext4.Options{Size: last.Size, UUID: [16]byte{1}}))
	return file, last
}

// TestGrow lets the last partition of a disk that became larger grow, while it
// is mounted. Its filesystem takes rights to grow that a container's root lacks:
// virtual machines do that.
func TestGrow(t *testing.T) {
	needs.Root(t)
	for name, o := range map[string]disk.Options{"root": {Seed: "grow"}, "persistent": {Seed: "grow", Persistent: 40 << 20}} {
		t.Run(name, func(t *testing.T) {
			file, last := newDisk(t, o)
			loop := tool(t, "mount", "losetup", "--find", "--show", "--partscan", file.Name())
			t.Cleanup(func() { tool(t, "mount", "losetup", "--detach", loop) })
			addPartition(t, loop, last)
			dir := t.TempDir()
			part := filepath.Join(t.TempDir(), "part") // where there is nobody to make it in /dev
			check(t, unix.Mknod(part, unix.S_IFBLK|0o600, partitionNumber(t, loop, last.Number)), unix.Mount(part, dir, "ext4", 0, ""))
			t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
			check(t, file.Truncate(900<<20))
			tool(t, "mount", "losetup", "--set-capacity", loop)

			d, err := diskOf(dir)
			check(t, err)
			if d.file != loop || d.size != 900<<20 || d.sector != 512 {
				t.Errorf("found %+v", d)
			}
			var said []string
			say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
			check(t, d.grow(say))
			if len(said) != 1 || !strings.Contains(said[0], "("+name+") grows to ") {
				t.Errorf("said %q", said)
			}
			known, err := readNumber(fmt.Sprintf("/sys/block/%s/%[1]sp%d", filepath.Base(loop), last.Number), "size")
			if err != nil || known*512 != d.last.Size || d.last.Size <= last.Size+500<<20 {
				t.Errorf("the kernel knows a partition of %d bytes (%v), and it has %d", known*512, err, d.last.Size)
			}
			said = nil
			if check(t, d.grow(say)); len(said) > 0 {
				t.Errorf("it grew again: %q", said)
			}
			if says := tool(t, "gdisk", "sgdisk", "-v", file.Name()); !strings.Contains(says, "No problems found") {
				t.Errorf("sgdisk: %s", says)
			}
		})
	}
}

// addPartition has the kernel know a partition, if it does not read tables of
// this kind.
func addPartition(t *testing.T, loop string, p disk.Partition) {
	t.Helper()
	if _, err := os.Stat(fmt.Sprintf("/sys/block/%s/%[1]sp%d", filepath.Base(loop), p.Number)); err != nil {
		tool(t, "util-linux", "addpart", loop, fmt.Sprint(p.Number), fmt.Sprint(p.Offset/512), fmt.Sprint(p.Size/512))
	}
}

// partitionNumber is the device number of a partition.
func partitionNumber(t *testing.T, disk string, number int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/sys/block/%s/%[1]sp%d/dev", filepath.Base(disk), number))
	check(t, err)
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return int(unix.Mkdev(major, minor))
}

// TestNoDisk: a root that is on no partition is told, not guessed at.
func TestNoDisk(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	check(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	defer func() { check(t, unix.Unmount(dir, 0)) }()
	if _, err := diskOf(dir); err == nil || !strings.Contains(err.Error(), "it is on no block device") {
		t.Errorf("got %v", err)
	}
	if _, err := diskOf(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
