//go:build linux

package vdisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"cloudlets/images/disk/sparse"
)

func TestRoundSize(t *testing.T) {
	for _, c := range []struct {
		format     string
		size, want int64
	}{
		{"raw", 0, 512}, {"raw", 1, 512}, {"raw", 512, 512}, {"qcow2", 513, 1024},
		{"vhd-fixed", 1, mib}, {"vhd-fixed", mib + 1, 2 * mib}, {"vhdx", mib + 1, 2 * mib}, {"gce", 1, gib}, {"gce", 10*gib + 1, 11 * gib},
		{"vhd", 2040 * gib, 2040 * gib},
	} {
		if got, err := RoundSize(c.format, c.size); err != nil || got != c.want {
			t.Errorf("%s: %d bytes are rounded to %d, %v, want %d", c.format, c.size, got, err, c.want)
		}
	}
	if _, err := RoundSize("vhd", 2040*gib+1); err == nil || !strings.Contains(err.Error(), "up to 2190433320960 bytes") {
		t.Errorf("a vhd that is too large: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		format string
		out    io.Writer
		size   int64
		o      Options
		want   string
	}{
		"unknown format":  {"qcow", io.Discard, mib, Options{}, `unknown disk format "qcow": choose one of raw, qcow2, vmdk,`},
		"wrong size":      {"gce", io.Discard, gib + 512, Options{}, "make it 2147483648 bytes"},
		"no size":         {"raw", io.Discard, 0, Options{}, "make it 512 bytes"},
		"too large":       {"vmdk", io.Discard, 3 * tib, Options{}, "up to 2199023255552 bytes"},
		"no file":         {"qcow2", io.Discard, mib, Options{}, "write it to a regular file"},
		"compression":     {"qcow2", create(t, "x"), mib, Options{Compression: "lzma"}, `unknown compression "lzma"`},
		"vhdx block":      {"vhdx", create(t, "x"), mib, Options{BlockSize: 3 * mib}, "a power of two"},
		"vhdx tiny block": {"vhdx", create(t, "x"), mib, Options{BlockSize: 4096}, "a power of two"},
	} {
		_, err := New(c.format, c.out, c.size, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// TestPipeIsNoFile gives a pipe, which is an *os.File, to each format.
func TestPipeIsNoFile(t *testing.T) {
	for _, f := range Formats() {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		_, err = New(f.Name, w, f.Align, Options{})
		if f.Streams && err != nil || !f.Streams && !errors.Is(err, ErrNeedsFile) {
			t.Errorf("%s into a pipe: %v, but it streams: %v", f.Name, err, f.Streams)
		}
	}
}

func TestContentOfAnotherSize(t *testing.T) {
	for _, f := range Formats() {
		short, err := New(f.Name, create(t, "x"), f.Align, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := short.Skip(f.Align - 1); err != nil {
			t.Fatal(err)
		}
		if err := short.Close(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("ends after %d bytes", f.Align-1)) {
			t.Errorf("%s: closed too early: %v", f.Name, err)
		}
		long, err := New(f.Name, create(t, "x"), f.Align, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := long.Skip(f.Align - 1); err != nil {
			t.Fatal(err)
		}
		_, err = long.Write([]byte("xy"))
		if err == nil || !strings.Contains(err.Error(), "beyond its announced size") {
			t.Errorf("%s: written too much: %v", f.Name, err)
		}
		if again := long.Close(); !errors.Is(again, err) {
			t.Errorf("%s: Close after %q says %v", f.Name, err, again)
		}
	}
}

func TestUseAfterClose(t *testing.T) {
	w, err := New("raw", io.Discard, sector, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Skip(sector), w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(nil); err == nil {
		t.Error("a closed writer takes more")
	}
	if err := w.Skip(-1); err == nil {
		t.Error("a closed writer goes back")
	}
}

func TestSkipBackwardsIsRefused(t *testing.T) {
	w, err := New("raw", io.Discard, sector, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Skip(-1); !errors.Is(err, sparse.ErrNegative) {
		t.Errorf("skip backwards: %v", err)
	}
}

// fullDisk is a file on a disk with room for so many writes.
type fullDisk struct {
	*os.File
	room int
}

func (d *fullDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.room--; d.room < 0 {
		return 0, syscall.ENOSPC
	}
	return d.File.WriteAt(p, off)
}

// TestFullDisk lets the disk be full at each write in turn: each is reported.
func TestFullDisk(t *testing.T) {
	c := content{gib, []extent{{0, text(mib / 4)}, {700 * mib, noise(10, mib/4)}}}
	for _, f := range Formats() {
		for room := 0; ; room++ {
			err := writeAll(f.Name, &fullDisk{create(t, "x"), room}, c)
			if err == nil {
				if room == 0 {
					t.Errorf("%s: a full disk goes unnoticed", f.Name)
				}
				break
			}
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), f.Name) {
				t.Fatalf("%s: full disk after %d writes: %v", f.Name, room, err)
			}
			if f.Name == "gce" && room > 2 {
				break // it writes hundreds of times, all from one place
			}
		}
	}
}

// writeAll makes a container and returns the first error.
func writeAll(format string, out io.Writer, c content) error {
	w, err := New(format, out, c.size, testOptions)
	if err != nil {
		return err
	}
	return errors.Join(c.feed(w), w.Close())
}

// TestBrokenOffIsNoDisk closes a disk too early: of the formats that need a
// file, nothing is left that a reader takes for one.
func TestBrokenOffIsNoDisk(t *testing.T) {
	c := content{64 * mib, []extent{{0, noise(11, 8*mib)}}}
	for _, f := range Formats() {
		if f.Streams {
			continue
		}
		out := create(t, "x")
		w, err := New(f.Name, out, c.size, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(c.extents[0].data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err == nil {
			t.Fatalf("%s: closed too early, and no error", f.Name)
		}
		head := make([]byte, sector)
		if _, err := out.ReadAt(head, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !sparse.IsZero(head) {
			t.Errorf("%s: a disk that was broken off has a header", f.Name)
		}
	}
}

// TestOldContentIsGone writes into a file that was a larger disk before.
func TestOldContentIsGone(t *testing.T) {
	c := content{2 * mib, []extent{{mib, text(1000)}}}
	for _, f := range Formats() {
		c.size = sizeFor(t, f, c.size)
		out := create(t, "x")
		if _, err := out.Write(noise(12, 5*mib)); err != nil {
			t.Fatal(err)
		}
		if err := writeAll(f.Name, out, c); err != nil {
			t.Fatal(err)
		}
		if string(read(t, out.Name())) != string(read(t, write(t, f.Name, c.size, testOptions, c.feed))) {
			t.Errorf("%s: what was in the file shows", f.Name)
		}
		c.size = 2 * mib
	}
}
