package target_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/layers"
	"cloudlets/images/target"
	"cloudlets/testdata/needs"
)

// check ends the test if anything went wrong.
func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// run has a foreign tool look at something.
func run(t *testing.T, debianPackage, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, name, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// kernel is a file that is a kernel for amd64, as far as its first bytes tell
// (Documentation/arch/x86/boot.rst).
func kernel() []byte {
	b := make([]byte, 300<<10)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20c)
	binary.LittleEndian.PutUint16(b[0x236:], 1)
	return b
}

// system is a small image in a directory of its own, whose files all have one
// time.
func system(t *testing.T) target.System {
	t.Helper()
	return systemOf(t, map[string]string{
		"etc/hostname": "web1\n", "srv/data": strings.Repeat("data", 10000), "boot/vmlinuz-6.1.0-9-amd64": string(kernel()),
		"boot/initrd.img-6.1.0-9-amd64": "RAM disk", "boot/vmlinuz-6.1.0-10-amd64": string(kernel()), "boot/initrd.img-6.1.0-10-amd64": "RAM disk two",
		".cloudlet/manifest": `{"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*", "cmdline": "console=ttyS0"}}}`,
	})
}

// systemOf is an image of some files. Those in sbin are programs.
func systemOf(t *testing.T, files map[string]string) target.System {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	for name, content := range files {
		file, mode := filepath.Join(dir, name), os.FileMode(0o644)
		if filepath.Base(filepath.Dir(file)) == "sbin" {
			mode = 0o755
		}
		check(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), mode))
	}
	check(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(p, time.Time{}, time.Unix(1.7e9, 0)))
	}))
	src, err := dirtree.Open(dir)
	check(t, err)
	im, err := images.New(t.Context(), dir, src)
	check(t, err)
	return target.System{Name: im.Name, Manifest: im.Manifest, Source: src, Tree: src}
}

func loaders(t *testing.T) bootloader.Files {
	t.Helper()
	l, err := bootloader.Assets{}.Load(t.Context(), bootloader.AMD64)
	check(t, err)
	return l
}

// write makes a raw disk.
func write(t *testing.T, s target.System, o target.Options) (*target.Disk, string) {
	t.Helper()
	d, err := target.NewDisk(t.Context(), s, o)
	check(t, err)
	name := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(name)
	check(t, err)
	defer f.Close()
	out := sparse.File(f)
	check(t, d.Write(t.Context(), out, loaders(t)), out.Finish())
	return d, name
}

// TestDisk has the tools that know best look at a disk's parts.
func TestDisk(t *testing.T) {
	d, file := write(t, system(t), target.Options{Free: 10 << 20, Cmdline: "quiet"})
	if info, err := os.Stat(file); err != nil || info.Size() != d.Size() {
		t.Errorf("the disk has %v bytes (%v), and %d were said", info.Size(), err, d.Size())
	}
	if said := run(t, "gdisk", "sgdisk", "-v", file); !strings.Contains(said, "No problems found") {
		t.Errorf("sgdisk: %s", said)
	}
	part := func(p disk.Partition) string {
		name := filepath.Join(t.TempDir(), p.Name)
		content := make([]byte, p.Size)
		f, err := os.Open(file)
		check(t, err)
		defer f.Close()
		_, err = f.ReadAt(content, p.Offset)
		check(t, err, os.WriteFile(name, content, 0o600))
		return name
	}
	root, esp := part(d.Layout.Root), part(d.Layout.ESP)
	run(t, "e2fsprogs", "e2fsck", "-fn", root)
	run(t, "dosfstools", "fsck.vfat", "-n", esp)
	if said := run(t, "e2fsprogs", "debugfs", "-R", "cat /etc/hostname", root); !strings.Contains(said, "web1\n") {
		t.Errorf("/etc/hostname: %s", said)
	}
	newest := run(t, "mtools", "mtype", "-i", esp, "::loader/entries/cloudlet-0-6.1.0-10-amd64.conf")
	uuid := strings.TrimSpace(run(t, "util-linux", "blkid", "-p", "-s", "UUID", "-o", "value", root))
	if want := "options root=UUID=" + uuid + " rw console=ttyS0 quiet\n"; !strings.Contains(newest, want) {
		t.Errorf("the newest kernel's entry is\n%s\nwithout %q", newest, want)
	}
	if older := run(t, "mtools", "mtype", "-i", esp, "::loader/entries/cloudlet-1-6.1.0-9-amd64.conf"); !strings.Contains(older, "version 6.1.0-9-amd64") {
		t.Errorf("the older kernel's entry is\n%s", older)
	}
}

// TestReproducible: two builds, of copies in two places, are the same bytes,
// and a change of anything makes another disk with other identifiers.
func TestReproducible(t *testing.T) {
	one, two := system(t), system(t)
	a, first := write(t, one, target.Options{})
	_, second := write(t, two, target.Options{})
	if err := disktest.SameFiles(first, second); err != nil {
		t.Errorf("two builds of the same image differ: %v", err)
	}
	two.Overlay = images.Overlay{{Entry: images.Entry{Path: "/etc/hostname", Type: images.Regular, Mode: 0o644, Size: 4}, Content: []byte("web2")}}
	two.Source = layers.Overlay(two.Source, two.Overlay)
	b, err := target.NewDisk(t.Context(), two, target.Options{})
	check(t, err)
	if a.ID == b.ID || a.Layout.GUID == b.Layout.GUID {
		t.Error("two different disks have one identifier")
	}
}

// TestSizes: what is asked for is what there is, or an error that says what it
// takes.
func TestSizes(t *testing.T) {
	s := system(t)
	for _, size := range []int64{300 << 20, 1<<30 + 512, 3 << 30} {
		d, err := target.NewDisk(t.Context(), s, target.Options{Size: size})
		if err != nil || d.Size() != size {
			t.Errorf("asked for %d bytes: %v", size, err)
		}
	}
	_, err := target.NewDisk(t.Context(), s, target.Options{Size: 50 << 20})
	if err == nil || !strings.Contains(err.Error(), "make a disk of image web") || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("a disk that is too small: %v", err)
	}
	d, err := target.NewDisk(t.Context(), s, target.Options{Round: func(n int64) (int64, error) { return (n + 1<<30 - 1) >> 30 << 30, nil }})
	if err != nil || d.Size() != 1<<30 {
		t.Errorf("rounded up to a GiB: %v", err)
	}
}

// TestCancelled: a disk that is not wanted any more is not finished.
func TestCancelled(t *testing.T) {
	d, err := target.NewDisk(t.Context(), system(t), target.Options{})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Write(ctx, sparse.To(&bytes.Buffer{}), loaders(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
