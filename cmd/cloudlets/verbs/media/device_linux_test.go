package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/images/disk"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
	"cloudlets/testdata/needs"
)

// patience ends a tool that hangs; nothing waits for it otherwise.
const patience = time.Minute

// loopDevice is a device of 256 MiB whose maker gave it a serial number.
func loopDevice(t *testing.T) (name string, host func() device.Host) {
	t.Helper()
	return loopOf(t, 256<<20)
}

// loopOf is a loop device of some size, in bytes, with more options of losetup.
func loopOf(t *testing.T, size int64, options ...string) (name string, host func() device.Host) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "medium")
	err := os.WriteFile(file, nil, 0o600)
	if err == nil {
		err = os.Truncate(file, size)
	}
	if err != nil {
		t.Fatal(err)
	}
	name = losetup(t, append(options, "--find", "--show", file)...)
	t.Cleanup(func() { losetup(t, "--detach", name) })
	return name, func() device.Host {
		h := thisHost()
		describe := h.Describe
		h.Describe = func(name string) device.Disk {
			d := describe(name)
			d.Serial = "LOOP-0001"
			return d
		}
		return h
	}
}

func losetup(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, "mount", "losetup", args...)
}

// output runs a foreign program as root.
func output(t *testing.T, debianPackage, program string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience) // also while the test cleans up
	defer stop()
	needs.Root(t)
	out, err := exec.CommandContext(ctx, needs.Tool(t, program, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// bootableImage is a folder with a kernel, as far as its first bytes tell.
func bootableImage(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	kernel := make([]byte, 8192)
	copy(kernel[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(kernel[0x206:], 0x20c)
	binary.LittleEndian.PutUint16(kernel[0x236:], 1)
	for name, content := range map[string]string{
		".cloudlet/manifest": `{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}}}`, "boot/vmlinuz-6.1.0-9-amd64": string(kernel),
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runDisk is `cloudlets disk`, on a host and with a policy of the test's.
func runDisk(ctx context.Context, host func() device.Host, args ...string) (stdout, stderr string, err error) {
	f := diskFlags{device: deviceFlags{deviceHost: deviceHost{policy: device.Policy{Fixed: true}, host: host}}}
	cmd := &cobra.Command{Use: "disk", Args: exit.ExactArgs(1), RunE: f.run, SilenceErrors: true, SilenceUsage: true}
	f.add(cmd)
	f.out.Add(cmd)
	f.device.add(cmd)
	var out, problems bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(ctx)
	return out.String(), problems.String(), err
}

func TestDiskOnADevice(t *testing.T) {
	name, host := loopDevice(t)
	image := bootableImage(t)
	for says, args := range map[string][]string{
		"--yes needs --serial": {image, "--out", name, "--yes"},
		"there is no terminal": {image, "--out", name},
		"not confirmed":        {image, "--out", name, "--yes", "--serial", "LOOP-0002"},
		"leave the size out":   {image, "--out", name, "--yes", "--serial", "LOOP-0001", "--size", "128MiB"},
		"take a larger device": {image, "--out", name, "--yes", "--serial", "LOOP-0001", "--size", "1GiB"},
		"no-such-image":        {"no-such-image", "--out", name, "--yes", "--serial", "LOOP-0001"},
	} {
		_, _, err := runDisk(t.Context(), host, args...)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: got %v, want %q", args, err, says)
		}
	}
	if out, _, err := runDisk(t.Context(), host, image, "--out", name, "--dry-run"); err != nil || !strings.Contains(out, "would make") {
		t.Errorf("dry run: %q, %v", out, err)
	}
	if found := onDevice(t, name); found != "blank" {
		t.Fatalf("after all these, on the device is %s", found)
	}
	out, _, err := runDisk(t.Context(), host, image, "--out", name, "--yes", "--serial", "LOOP-0001")
	if err != nil || !strings.Contains(out, "wrote "+name+": a disk of 268.4 MB with ") || !strings.Contains(out, "read back and compared") {
		t.Errorf("got %q, %v", out, err)
	}
	if found := onDevice(t, name); !strings.HasPrefix(found, "GPT with 3 partitions") {
		t.Errorf("on the device is %s", found)
	}
	out, _, err = runDisk(t.Context(), host, image, "--out", name, "--yes", "--serial", "LOOP-0001", "--no-verify", "--json")
	if err != nil || !strings.Contains(out, `"out": "`+name+`"`) {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestDeviceKeepsItsPersistentPartition: a second write keeps what the first
// made room for, and refuses where there is nothing of the kind.
func TestDeviceKeepsItsPersistentPartition(t *testing.T) {
	name, host := loopDevice(t)
	image := bootableImage(t)
	err := errors.Join(
		os.WriteFile(filepath.Join(image, ".cloudlet/manifest"), []byte(`{"persistent": ["/srv"]}`), 0o644),
		os.Mkdir(filepath.Join(image, "sbin"), 0o755), os.WriteFile(filepath.Join(image, "sbin/init"), []byte("#!/bin/sh\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = runDisk(t.Context(), host, image, "--out", name, "--yes", "--serial", "LOOP-0001", "--keep-persistent")
	if err == nil || !strings.Contains(err.Error(), "without --keep-persistent") {
		t.Errorf("a blank device: %v", err)
	}
	if _, _, err := runDisk(t.Context(), host, image, "--out", name, "--yes", "--serial", "LOOP-0001", "--persistent-partition", "20MiB"); err != nil {
		t.Fatal(err)
	}
	const with = "GPT with 4 partitions: "
	if found := onDevice(t, name); !strings.HasPrefix(found, with) || !strings.HasSuffix(found, "ext4 'persistent' 20 MiB") {
		t.Errorf("on the device is %s", found)
	}
	mark := markPersistent(t, name)
	out, _, err := runDisk(t.Context(), host, image, "--out", name, "--yes", "--serial", "LOOP-0001", "--keep-persistent")
	if err != nil || !strings.Contains(out, "wrote "+name) || !strings.Contains(out, "its persistent partition was kept") {
		t.Errorf("got %q, %v", out, err)
	}
	if !mark() {
		t.Error("what was on the persistent partition is gone")
	}
	if found := onDevice(t, name); !strings.HasPrefix(found, with) {
		t.Errorf("on the device is %s", found)
	}
}

// TestUpdateADevice: one slot of a device is written, only after a person agreed; a device
// without slots and one in use are refused.
func TestUpdateADevice(t *testing.T) {
	for sector, size := range map[int64]int64{512: 320 << 20, 4096: 400 << 20} {
		t.Run(fmt.Sprint(sector), func(t *testing.T) { testUpdateADevice(t, size, sector) })
	}
}

func testUpdateADevice(t *testing.T, size, sector int64) {
	name, host := loopOf(t, size, "--sector-size", fmt.Sprint(sector))
	image := bootableImage(t)
	if err := errors.Join(os.Mkdir(filepath.Join(image, "sbin"), 0o755), os.WriteFile(filepath.Join(image, "sbin/init"), []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	yes := []string{"--yes", "--serial", "LOOP-0001"}
	update := append([]string{image, "--out", name, "--update"}, yes...)
	if _, _, err := runDisk(t.Context(), host, update...); err == nil || !strings.Contains(err.Error(), "has no two slots") {
		t.Errorf("a blank device: %v", err)
	}
	if _, _, err := runDisk(t.Context(), host, append([]string{image, "--out", name, "--slots", "2"}, yes...)...); err != nil {
		t.Fatal(err)
	}
	device, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	on := readSlots(t, device, size, sector)
	if on.State != slots.Accepted(slots.A) {
		t.Errorf("before the update the state is %+v", on.State)
	}
	slot := on.Layout.Root
	esp := on.Layout.ESP
	at, _, err := fat.Locate(io.NewSectionReader(device, esp.Offset, esp.Size), slots.Path)
	if err != nil {
		t.Fatal(err)
	}
	mayChange := []disk.Partition{{Offset: esp.Offset + at, Size: sector}, slot}
	before := sumWithout(t, device, size, mayChange)
	refused := func(says string, args ...string) {
		t.Helper()
		if _, _, err := runDisk(t.Context(), host, args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: got %v, want %q", args, err, says)
		}
	}
	refused("there is no terminal", image, "--out", name, "--update")
	refused("not confirmed", image, "--out", name, "--update", "--yes", "--serial", "other")
	refused("shows it: update that, or detach it first", image, "--out", losetup(t, "--noheadings", "--output", "BACK-FILE", name), "--update")
	if err := os.WriteFile(filepath.Join(image, "sbin/new"), []byte("of the second system"), 0o755); err != nil {
		t.Fatal(err)
	}
	unmount := mountPartition(t, name, on.Layout.Other)
	refused("it is in use: ", update...)
	unmount()
	out, _, err := runDisk(t.Context(), host, update...)
	if err != nil || !strings.Contains(out, "wrote slot B of "+name) {
		t.Fatalf("got %q, %v", out, err)
	}
	on = readSlots(t, device, size, sector)
	if on.State != slots.Accepted(slots.A).OnTrial() {
		t.Errorf("after the update the state is %+v", on.State)
	}
	if on.Layout.Root.Offset != slot.Offset || on.Layout.Root.Size != slot.Size {
		t.Errorf("the slot on trial is %+v, and the one to be written was %+v", on.Layout.Root, slot)
	}
	if got, err := ext4.ReadFile(io.NewSectionReader(device, slot.Offset, slot.Size), "/sbin/new", 1<<20); err != nil || string(got) != "of the second system" {
		t.Errorf("slot B has %q (%v)", got, err)
	}
	if sumWithout(t, device, size, mayChange) != before {
		t.Error("the update changed more than slot B and the sector with the state")
	}
}

// readSlots looks at a device that has two slots.
func readSlots(t *testing.T, device *os.File, size, sector int64) target.SlotDisk {
	t.Helper()
	on, err := target.ReadSlots(device, size, sector)
	if err != nil {
		t.Fatal(err)
	}
	return on
}

var seed = maphash.MakeSeed()

// sumWithout tells whether anything on a device changes, but for parts that may, in their
// order.
func sumWithout(t *testing.T, device *os.File, size int64, mayChange []disk.Partition) uint64 {
	t.Helper()
	var h maphash.Hash
	h.SetSeed(seed)
	at, buf := int64(0), make([]byte, 1<<20)
	for _, p := range append(slices.Clone(mayChange), disk.Partition{Offset: size}) {
		if _, err := io.CopyBuffer(&h, io.NewSectionReader(device, at, p.Offset-at), buf); err != nil {
			t.Fatal(err)
		}
		at = p.Offset + p.Size
	}
	return h.Sum64()
}

// mountPartition mounts a partition of a loop device, read-only, until the test's end or
// until its caller ends it.
func mountPartition(t *testing.T, loop string, p disk.Partition) (unmount func()) {
	t.Helper()
	sys := fmt.Sprintf("/sys/block/%s/%[1]sp%d", filepath.Base(loop), p.Number)
	if _, err := os.Stat(sys); err != nil { // the kernel does not read tables of this kind
		output(t, "util-linux", "addpart", loop, fmt.Sprint(p.Number), fmt.Sprint(p.Offset/512), fmt.Sprint(p.Size/512))
		t.Cleanup(func() { output(t, "util-linux", "delpart", loop, fmt.Sprint(p.Number)) })
	}
	text, err := os.ReadFile(sys + "/dev")
	if err != nil {
		t.Fatal(err)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	node, dir := filepath.Join(t.TempDir(), "part"), t.TempDir()
	err = unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor)))
	if err == nil {
		err = unix.Mount(node, dir, "ext4", unix.MS_RDONLY, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	unmount = sync.OnceFunc(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(unmount)
	return unmount
}

// markPersistent writes into the persistent partition of a device, where its
// filesystem has nothing. It returns what says whether that is still there.
func markPersistent(t *testing.T, name string) (still func() bool) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p, err := disk.FindPersistent(f, 256<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	mark, at := []byte("precious"), p.Offset+p.Size-4096
	if _, err := f.WriteAt(mark, at); err != nil {
		t.Fatal(err)
	}
	return func() bool {
		got := make([]byte, len(mark))
		_, err := f.ReadAt(got, at)
		return err == nil && bytes.Equal(got, mark)
	}
}

func onDevice(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := probe.Identify(f, 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	return probe.Describe(found)
}

// TestListOfDevices: a stick is listed, what is built in only on demand and
// with the reason why it is refused.
func TestListOfDevices(t *testing.T) {
	stick := foundDevice{Facts: device.Facts{
		Disk: device.Disk{Name: "sdb", Model: "Ultra", Serial: "4C\x1b53", Transport: "usb", Size: 8 << 30, Removable: true},
		Path: "/dev/sdb", Contents: "MBR with 1 partition: vfat 8 GiB", Uses: []device.Use{{What: "/dev/sdb1 is mounted on /media/x"}},
	}, refused: []string{"it is in use"}}
	var out bytes.Buffer
	if err := stick.show(&out); err != nil || out.String() != "/dev/sdb, Ultra, serial 4C?53, 8.6 GB, usb\n  on it: MBR with 1 partition: vfat 8 GiB\n  refused: it is in use\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if l := stick.asJSON(); l.Device != "/dev/sdb" || l.Uses[0] != "/dev/sdb1 is mounted on /media/x" || !l.Removable {
		t.Errorf("got %+v", l)
	}
}
