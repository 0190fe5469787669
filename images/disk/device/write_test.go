//go:build linux

package device_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/device"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/sparse"
)

// TestWrite writes over what was there before, and has the tools that know
// best look at it.
func TestWrite(t *testing.T) {
	for name, tt := range map[string]struct{ size, sector int64 }{
		"512":  {256<<20 + 4096 + 512, 512}, // ends in the middle of a page, and of the backup table
		"4096": {400 << 20, 4096},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMedium(t, tt.size, tt.sector, "--partscan")
			tool(t, "util-linux", "addpart", m.path, "9", "2048", "4096")
			old := filepath.Join("/sys/block", filepath.Base(m.path), filepath.Base(m.path)+"p9")
			_, err := os.Stat(old)
			check(t, err)
			armed, f := arm(t, m)
			d, content := planned(t, system(t, 20<<20+5), f)
			var writing, verifying, total int64
			result, err := armed.Write(t.Context(), content, device.Options{Progress: func(s device.Stage, n, of int64) {
				if s == device.Writing {
					writing += n
				} else {
					verifying, total = verifying+n, of
				}
			}})
			check(t, err, armed.Close())
			if writing != result.Written || verifying != result.Verified || verifying != writing || total != writing {
				t.Errorf("progress told of %d bytes written and %d of %d verified, the result is %+v", writing, verifying, total, result)
			}
			if off := writing - d.Estimate(); off < -writing/10 || off > writing/10 {
				t.Errorf("%d bytes were written, and the estimate was %d", writing, d.Estimate())
			}
			if _, err := os.Stat(old); err == nil || !result.TableRead {
				t.Errorf("the kernel still has the old partition %s (%v), or did not read the new table: %+v", old, err, result)
			}
			wantSound(t, m, d.Layout)
			wantSame(t, m, content, 20<<20)
		})
	}
}

// wantSound has foreign tools look at a device.
func wantSound(t *testing.T, m medium, l disk.Layout) {
	t.Helper()
	if said := tool(t, "gdisk", "sgdisk", "-v", m.path); !strings.Contains(said, "No problems found") {
		t.Errorf("sgdisk: %s", said)
	}
	part := func(p disk.Partition) string {
		name := filepath.Join(t.TempDir(), p.Name)
		check(t, disktest.CopyPart(name, m.file, p.Offset, p.Size))
		return name
	}
	root, esp := part(l.Root), part(l.ESP)
	tool(t, "e2fsprogs", "e2fsck", "-fn", root)
	tool(t, "dosfstools", "fsck.vfat", "-n", esp)
	if said := tool(t, "e2fsprogs", "debugfs", "-R", "cat /etc/hostname", root); !strings.Contains(said, "web1") {
		t.Errorf("/etc/hostname: %s", said)
	}
	tool(t, "mtools", "mtype", "-i", esp, "::loader/loader.conf")
}

// wantSame compares a device with a file that has the same disk, but for what
// the file does not have.
func wantSame(t *testing.T, m medium, c device.Content, least int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "same"))
	check(t, err)
	defer f.Close()
	out := sparse.File(f)
	check(t, c.Write(t.Context(), out), out.Finish())
	compared := int64(0)
	for end := int64(0); ; {
		start, err := f.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		check(t, err)
		end, err = f.Seek(start, unix.SEEK_HOLE)
		check(t, err)
		want, got := make([]byte, end-start), make([]byte, end-start)
		_, err = f.ReadAt(want, start)
		check(t, err)
		_, err = m.file.ReadAt(got, start)
		check(t, err)
		if !bytes.Equal(want, got) {
			t.Fatalf("the %d bytes at %d are others than those of a file", len(want), start)
		}
		compared += end - start
	}
	if compared < least {
		t.Errorf("only %d bytes were compared", compared)
	}
}

// TestDamageIsFound: a device that does not keep what it was given is found
// out, and nobody starts from it.
func TestDamageIsFound(t *testing.T) {
	t.Run("in a file", func(t *testing.T) {
		m := newMedium(t, 256<<20, 512)
		armed, f := arm(t, m)
		d, content := planned(t, system(t, 1<<20), f)
		verifying := false
		_, err := armed.Write(t.Context(), content, device.Options{Progress: func(s device.Stage, _, _ int64) {
			if s == device.Verifying && !verifying { // the first MiBs are read: change one that follows
				m.flip(t, d.Layout.Root.Offset+1024+56)
			}
			verifying = s == device.Verifying
		}})
		wantDamage(t, m, err)
	})
	t.Run("in the first MiB", func(t *testing.T) {
		m := newMedium(t, 256<<20, 512)
		armed, f := arm(t, m)
		_, content := planned(t, system(t, 1<<20), f)
		verified := false
		_, err := armed.Write(t.Context(), content, device.Options{Progress: func(s device.Stage, _, _ int64) {
			if s == device.Writing && verified { // the last MiB, and then the first
				m.flip(t, 510)
			}
			verified = verified || s == device.Verifying
		}})
		wantDamage(t, m, err)
	})
}

func wantDamage(t *testing.T, m medium, err error) {
	t.Helper()
	if !errors.Is(err, device.ErrDamaged) || !strings.Contains(err.Error(), m.path) {
		t.Errorf("got %v, want ErrDamaged for %s", err, m.path)
	}
	found, err := probe.Identify(m.file, m.size)
	check(t, err)
	if len(found) > 0 {
		t.Errorf("on the device is %s", probe.Describe(found))
	}
}

func TestWithoutVerifyNothingIsRead(t *testing.T) {
	m := newMedium(t, 256<<20, 512)
	armed, f := arm(t, m)
	_, content := planned(t, system(t, 1<<20), f)
	result, err := armed.Write(t.Context(), content, device.Options{NoVerify: true})
	check(t, err, armed.Close())
	if result.Verified != 0 || result.Written == 0 {
		t.Errorf("got %+v", result)
	}
	wantSame(t, m, content, 1<<20)
}

// TestInterrupted: a write that is broken off, wherever it is, leaves nothing.
func TestInterrupted(t *testing.T) {
	for name, at := range map[string]struct {
		stage device.Stage
		calls int
	}{"writing": {device.Writing, 10}, "verifying": {device.Verifying, 3}} {
		t.Run(name, func(t *testing.T) {
			m := newMedium(t, 256<<20, 512)
			armed, f := arm(t, m)
			_, content := planned(t, system(t, 20<<20), f)
			ctx, interrupt := context.WithCancel(t.Context())
			calls := 0
			_, err := armed.Write(ctx, content, device.Options{Progress: func(s device.Stage, _, _ int64) {
				if s == at.stage {
					if calls++; calls == at.calls {
						interrupt()
					}
				}
			}})
			check(t, armed.Close())
			if !errors.Is(err, device.ErrInterrupted) || err.Error() != "interrupted; "+m.path+" is not bootable and holds nothing whole: write it again" {
				t.Errorf("got %v", err)
			}
			wantNothing(t, m)
		})
	}
}

// TestImageFails: an image that cannot be read to its end leaves nothing.
func TestImageFails(t *testing.T) {
	m := newMedium(t, 256<<20, 512)
	armed, f := arm(t, m)
	_, content := planned(t, system(t, 1<<20), f)
	whole := content.Write
	broken := errors.New("the tarball ends early")
	content.Write = func(ctx context.Context, w sparse.Writer) error { return errors.Join(whole(ctx, w), broken) }
	_, err := armed.Write(t.Context(), content, device.Options{})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "holds nothing whole: write it again") {
		t.Errorf("got %v", err)
	}
	wantNothing(t, m)
	if _, err := armed.Write(t.Context(), content, device.Options{}); err == nil || !strings.Contains(err.Error(), "armed for a single write") {
		t.Errorf("a second write: %v", err)
	}
}

// TestDeviceFails: a device that gives errors is told from an image that does.
func TestDeviceFails(t *testing.T) {
	f, err := os.Create(filepath.Join(memory(t, 40<<20), "medium"))
	check(t, err)
	t.Cleanup(func() { _ = f.Close() })
	check(t, f.Truncate(256<<20)) // for which there is no room
	m := medium{attach(t, f.Name()), f, 256 << 20}
	armed, facts := arm(t, m)
	_, content := planned(t, system(t, 60<<20), facts)
	_, err = armed.Write(t.Context(), content, device.Options{})
	check(t, armed.Close())
	if err == nil || !strings.Contains(err.Error(), m.path+": it was unplugged, or it is failing") || !strings.Contains(err.Error(), "write it again") {
		t.Errorf("got %v", err)
	}
	wantNothing(t, m)
}

// TestOtherSize: a disk that was planned for another device is not begun.
func TestOtherSize(t *testing.T) {
	m := newMedium(t, 256<<20, 512)
	armed, f := arm(t, m)
	f.Size -= 1 << 20
	_, content := planned(t, system(t, 1<<20), f)
	before := make([]byte, 4096)
	_, err := m.file.ReadAt(before, 0)
	check(t, err)
	if _, err := armed.Write(t.Context(), content, device.Options{}); err == nil || !strings.Contains(err.Error(), "was laid out for") {
		t.Errorf("got %v", err)
	}
	after := make([]byte, 4096)
	_, err = m.file.ReadAt(after, 0)
	check(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the device was written")
	}
}
