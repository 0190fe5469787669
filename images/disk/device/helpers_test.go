//go:build linux

package device_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/target"
	"cloudlets/testdata/needs"
)

// patience ends what hangs; nothing waits for it otherwise.
const patience = time.Minute

// serial is what the loop devices of these tests have for a serial number.
const serial = "LOOP-0001"

// check ends the test if anything went wrong.
func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// tool runs a foreign program.
func tool(t testing.TB, debianPackage, name string, args ...string) string {
	t.Helper()
	name = needs.Tool(t, name, debianPackage)
	ctx, stop := context.WithTimeout(context.Background(), patience) // also while the test cleans up
	defer stop()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// medium is a loop device and the file behind it.
type medium struct {
	path string
	file *os.File
	size int64
}

// newMedium makes a loop device over a file that is full of what was there
// before.
func newMedium(t testing.TB, size, sector int64, options ...string) medium {
	t.Helper()
	f, err := os.Create(filepath.Join(memory(t, size+8<<20), "medium"))
	check(t, err)
	t.Cleanup(func() { _ = f.Close() })
	old := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(old) // never fails
	for off := int64(0); off < size; off += int64(len(old)) {
		_, err := f.Write(old[:min(int64(len(old)), size-off)])
		check(t, err)
	}
	return medium{attach(t, f.Name(), append(options, "--sector-size", fmt.Sprint(sector))...), f, size}
}

// memory is a folder with room for so many bytes, which needs no disk.
func memory(t testing.TB, size int64) string {
	t.Helper()
	needs.Root(t)
	dir := t.TempDir()
	check(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	return dir
}

// attach makes a loop device over a file, which goes with the test.
func attach(t testing.TB, file string, options ...string) string {
	t.Helper()
	name := tool(t, "mount", "losetup", append([]string{"--find", "--show"}, append(options, file)...)...)
	t.Cleanup(func() { tool(t, "mount", "losetup", "--detach", name) })
	return name
}

// host is this machine, on which loop devices have a name of their maker's.
func host() device.Host {
	sys := os.DirFS("/sys")
	return device.Host{Sys: sys, Proc: os.DirFS("/proc"), Describe: func(name string) device.Disk {
		size, _ := os.ReadFile("/sys/block/" + name + "/size")
		ro, _ := os.ReadFile("/sys/block/" + name + "/ro")
		var sectors int64
		_, _ = fmt.Sscan(string(size), &sectors) // no size, no medium
		return device.Disk{Name: name, Model: "Loop Stick", Serial: serial, Size: sectors * 512, ReadOnly: string(bytes.TrimSpace(ro)) == "1"}
	}}
}

// built allows loop devices, which are not removable.
var built = device.Policy{Fixed: true}

// system is a small image in a directory, with a file of some length.
func system(t testing.TB, length int) target.System {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	kernel := make([]byte, 300<<10) // as far as its first bytes tell: Documentation/arch/x86/boot.rst
	copy(kernel[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(kernel[0x206:], 0x20c)
	binary.LittleEndian.PutUint16(kernel[0x236:], 1)
	data := make([]byte, length)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	for name, content := range map[string][]byte{
		"etc/hostname": []byte("web1\n"), "sbin/init": []byte("#!/bin/sh\n"), "srv/data": data, "boot/vmlinuz-6.1.0-9-amd64": kernel,
		".cloudlet/manifest": []byte(`{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}}}`),
	} {
		file := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o755))
	}
	src, err := dirtree.Open(dir)
	check(t, err)
	im, err := images.New(t.Context(), dir, src)
	check(t, err)
	return target.System{Name: im.Name, Manifest: im.Manifest, Source: src, Tree: src}
}

// planned is a disk that fills a medium.
func planned(t testing.TB, s target.System, f device.Facts) (*target.Disk, device.Content) {
	t.Helper()
	d, err := target.NewDisk(t.Context(), s, target.Options{Size: f.Capacity(), Sector: f.Sector, Stale: true})
	check(t, err)
	loaders, err := bootloader.Assets{}.Load(t.Context(), bootloader.AMD64)
	check(t, err)
	return d, device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }}
}

// arm arms a medium by its serial number.
func arm(t testing.TB, m medium) (*device.Armed, device.Facts) {
	t.Helper()
	f, err := host().Look(m.path)
	check(t, err)
	armed, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: f.Capacity(), What: "a test"}, built, device.BySerial(serial))
	check(t, err)
	t.Cleanup(func() { _ = armed.Close() }) // most have closed it
	return armed, f
}

// wantNothing makes sure that nobody finds anything on a medium.
func wantNothing(t testing.TB, m medium) {
	t.Helper()
	found, err := probe.Identify(m.file, m.size)
	check(t, err)
	if len(found) > 0 {
		t.Errorf("on the device is %s, want nothing that anybody knows", probe.Describe(found))
	}
	last := make([]byte, 64<<10)
	_, err = m.file.ReadAt(last, m.size-int64(len(last)))
	check(t, err)
	if bytes.Contains(last, []byte("EFI PART")) {
		t.Error("at the device's end is a copy of a partition table")
	}
}

// flip changes one bit of the file behind a medium.
func (m medium) flip(t testing.TB, off int64) {
	t.Helper()
	var b [1]byte
	_, err := m.file.ReadAt(b[:], off)
	check(t, err)
	b[0] ^= 0x10
	_, err = m.file.WriteAt(b[:], off)
	check(t, err)
}

// pty makes a terminal: the person's side and the program's.
func pty(t testing.TB) (person, program *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	check(t, err)
	person = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { _ = person.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	check(t, err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), person.SetDeadline(time.Now().Add(patience)))
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}
