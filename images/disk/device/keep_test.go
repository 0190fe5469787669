//go:build linux

package device_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
)

// program stands for what a disk's system starts first.
func program(string) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader("program")), 7, nil
}

// writeWith writes a system to a medium, with a persistent partition.
func writeWith(t testing.TB, m medium, s target.System, o target.Options, options device.Options) (disk.Layout, error) {
	t.Helper()
	f, err := host().Look(m.path)
	check(t, err)
	o.Size, o.Sector, o.Stale, o.Program = f.Capacity(), f.Sector, true, program
	d, err := target.NewDisk(t.Context(), s, o)
	check(t, err)
	loaders, err := bootloader.Assets{}.Load(t.Context(), bootloader.AMD64)
	check(t, err)
	armed, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: f.Capacity(), What: "a test", Keep: o.Keep}, built, device.BySerial(serial))
	check(t, err)
	content := device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }}
	_, err = armed.Write(t.Context(), content, options)
	check(t, armed.Close())
	return d.Layout, err
}

// found is the medium's persistent partition.
func (m medium) found(t testing.TB, sector int64) disk.Partition {
	t.Helper()
	p, err := disk.FindPersistent(m.file, m.size, sector)
	check(t, err)
	return p
}

// onPartition does something with the filesystem of a partition, mounted.
func (m medium) onPartition(t testing.TB, p disk.Partition, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	loop := tool(t, "mount", "losetup", "--find", "--show", "--offset", fmt.Sprint(p.Offset), "--sizelimit", fmt.Sprint(p.Size), m.file.Name())
	defer tool(t, "mount", "losetup", "--detach", loop)
	check(t, unix.Mount(loop, dir, "ext4", 0, ""))
	defer func() { check(t, unix.Unmount(dir, 0)) }()
	do(dir)
}

// persistentSystem is a system that has something to keep.
func persistentSystem(t testing.TB, length int) target.System {
	t.Helper()
	s := system(t, length)
	m, err := manifest.Parse("web", []byte(`{"persistent": ["/srv"], "entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}, "init": {"type": "init", "path": "/sbin/init"}}}`))
	check(t, err)
	s.Manifest = m
	return s
}

// TestKeep writes a device, then another system on it that keeps what is
// persistent: byte by byte, while all else is the new system's.
func TestKeep(t *testing.T) {
	for name, c := range map[string]struct{ size, sector int64 }{"512": {400<<20 + 512*3, 512}, "4096": {700 << 20, 4096}} {
		t.Run(name, func(t *testing.T) {
			m := newMedium(t, c.size, c.sector)
			s := persistentSystem(t, 1<<20)
			_, err := writeWith(t, m, s, target.Options{Persistent: 64 << 20}, device.Options{})
			check(t, err)
			p := m.found(t, c.sector)
			m.onPartition(t, p, func(dir string) {
				check(t, os.WriteFile(filepath.Join(dir, "precious"), bytes.Repeat([]byte("data"), 1<<20), 0o640))
			})
			before := m.sum(t, p)
			layout, err := writeWith(t, m, persistentSystem(t, 60<<20), target.Options{Keep: &p}, device.Options{})
			check(t, err)
			if again := m.found(t, c.sector); again != p || m.sum(t, p) != before {
				t.Errorf("the partition %+v was kept as %+v, or its content is another", p, again)
			}
			wantSound(t, m, layout)
			m.onPartition(t, p, func(dir string) {
				if got, err := os.ReadFile(filepath.Join(dir, "precious")); err != nil || len(got) != 4<<20 {
					t.Errorf("%d bytes are left of what was there (%v)", len(got), err)
				}
			})
		})
	}
}

// sum tells whether what is on a partition changes. Half a gigabyte in memory would cost
// more than all else here.
func (m medium) sum(t testing.TB, p disk.Partition) uint64 {
	t.Helper()
	var h maphash.Hash
	h.SetSeed(seed)
	_, err := io.CopyBuffer(&h, io.NewSectionReader(m.file, p.Offset, p.Size), make([]byte, 1<<20))
	check(t, err)
	return h.Sum64()
}

var seed = maphash.MakeSeed()

// TestKeepBrokenOff: a write that is broken off, or whose device does not keep
// what it was given, leaves what is persistent, and nothing else.
func TestKeepBrokenOff(t *testing.T) {
	m := newMedium(t, 400<<20, 512)
	_, err := writeWith(t, m, persistentSystem(t, 1<<20), target.Options{Persistent: 64 << 20}, device.Options{})
	check(t, err)
	p := m.found(t, 512)
	before := m.sum(t, p)
	broken := errors.New("unplugged")
	for name, stage := range map[string]device.Stage{"writing": device.Writing, "verifying": device.Verifying} {
		t.Run(name, func(t *testing.T) {
			f, err := host().Look(m.path)
			check(t, err)
			d, err := target.NewDisk(t.Context(), persistentSystem(t, 20<<20), target.Options{Keep: &p, Size: f.Capacity(), Sector: f.Sector, Stale: true, Program: program})
			check(t, err)
			loaders, err := bootloader.Assets{}.Load(t.Context(), bootloader.AMD64)
			check(t, err)
			armed, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: f.Capacity(), What: "a test", Keep: &p}, built, device.BySerial(serial))
			check(t, err)
			ctx, interrupt := context.WithCancelCause(t.Context())
			calls := 0
			_, err = armed.Write(ctx, device.Content{Layout: d.Layout, Write: func(ctx context.Context, w sparse.Writer) error { return d.Write(ctx, w, loaders) }},
				device.Options{Progress: func(now device.Stage, _, _ int64) {
					if calls++; now == stage && calls > 5 {
						interrupt(broken)
					}
				}})
			check(t, armed.Close())
			if err == nil || !strings.Contains(err.Error(), "is not bootable, and its persistent partition is as it was") {
				t.Errorf("got %v", err)
			}
			if m.found(t, 512) != p || m.sum(t, p) != before {
				t.Error("what is persistent is not as it was")
			}
			found, err := probe.Identify(m.file, m.size)
			check(t, err)
			if says := probe.Describe(found); says != "GPT with 1 partition: ext4 'persistent' 64 MiB" {
				t.Errorf("on the device is %s", says)
			}
		})
	}
	_, err = writeWith(t, m, persistentSystem(t, 1<<20), target.Options{Keep: &p}, device.Options{})
	check(t, err)
	if m.found(t, 512) != p || m.sum(t, p) != before {
		t.Error("after the next write what is persistent is not as it was")
	}
}

// TestKeepIsWhatWasShown: where another partition is on the device by the time
// of the write, or nobody was told that one is kept, nothing is written.
func TestKeepIsWhatWasShown(t *testing.T) {
	m := newMedium(t, 400<<20, 512)
	_, err := writeWith(t, m, persistentSystem(t, 1<<20), target.Options{Persistent: 64 << 20}, device.Options{})
	check(t, err)
	p := m.found(t, 512)
	f, err := host().Look(m.path)
	check(t, err)
	other := p
	other.GUID = "0fc63daf-8483-4772-8e79-3d69d8477de5"
	before := m.sum(t, disk.Partition{Size: m.size})
	for name, told := range map[string]*disk.Partition{"nothing": nil, "another": &other} {
		t.Run(name, func(t *testing.T) {
			d, err := target.NewDisk(t.Context(), persistentSystem(t, 1<<20), target.Options{Keep: &p, Size: f.Capacity(), Sector: f.Sector, Stale: true, Program: program})
			check(t, err)
			armed, err := device.Arm(t.Context(), host(), device.Request{Path: m.path, Size: f.Capacity(), What: "a test", Keep: told}, built, device.BySerial(serial))
			check(t, err)
			_, err = armed.Write(t.Context(), device.Content{Layout: d.Layout}, device.Options{})
			check(t, armed.Close())
			if !errors.Is(err, device.ErrRefused) || !strings.Contains(err.Error(), "is not the one that was shown") {
				t.Errorf("got %v", err)
			}
			if m.sum(t, disk.Partition{Size: m.size}) != before {
				t.Error("the device was written")
			}
		})
	}
}
