package vdisk

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

// testOptions are those that tests write with.
var testOptions = Options{
	ID:   [16]byte{0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x49, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0},
	Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
}

// extent is a piece of a disk that is not a hole.
type extent struct {
	off  int64
	data []byte
}

// content is what is on a disk: extents in order, zeros between them.
type content struct {
	size    int64
	extents []extent
}

// feed gives the content to w in one write an extent.
func (c content) feed(w sparse.Writer) error {
	var pos int64
	for _, e := range c.extents {
		if err := w.Skip(e.off - pos); err != nil {
			return err
		}
		if _, err := w.Write(e.data); err != nil {
			return err
		}
		pos = e.off + int64(len(e.data))
	}
	return w.Skip(c.size - pos)
}

// feedCut gives the content to w in pieces of random length. Zeros are
// skipped or written as the dice fall; long holes are skipped in part.
func (c content) feedCut(w sparse.Writer, dice *rand.Rand) error {
	var pos int64
	for _, e := range slices.Concat(c.extents, []extent{{off: c.size}}) {
		long := max(0, e.off-pos-16*mib)
		if err := w.Skip(long); err != nil {
			return err
		}
		pos += long
		for pos < e.off {
			n := min(e.off-pos, 1+dice.Int64N(1<<dice.IntN(24)))
			if err := hole(w, n, dice.IntN(2) == 0); err != nil {
				return err
			}
			pos += n
		}
		for rest := e.data; len(rest) > 0; {
			n := min(len(rest), 1+dice.IntN(1<<dice.IntN(22)))
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
			pos += int64(n)
		}
	}
	return nil
}

func hole(w sparse.Writer, n int64, written bool) error {
	if !written {
		return w.Skip(n)
	}
	_, err := w.Write(make([]byte, n))
	return err
}

// noise returns n bytes that do not compress.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// text returns n bytes that compress.
func text(n int) []byte {
	return bytes.Repeat([]byte("A cloudlet is a universal server image. "), n/40+1)[:n]
}

// sizeFor is the size nearest to size that the format takes.
func sizeFor(t testing.TB, f Format, size int64) int64 {
	t.Helper()
	size, err := f.RoundSize(min(size, f.MaxSize))
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// create opens a new file in a directory of the test's own.
func create(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// write makes a container of what feed gives, and returns its file's name.
func write(t testing.TB, format string, size int64, o Options, feed func(sparse.Writer) error) string {
	t.Helper()
	f := create(t, "disk")
	w, err := New(format, f, size, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// writeStream makes a container in memory, by a writer that cannot seek.
func writeStream(t testing.TB, format string, size int64, o Options, feed func(sparse.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := New(format, struct{ io.Writer }{&b}, size, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// packages name what has a tool that tests run.
var packages = map[string]string{
	"qemu-img": "qemu-utils", "7zz": "7zip", "xmllint": "libxml2-utils", "tar": "tar",
}

// run runs a foreign tool and returns what it prints.
func run(t testing.TB, tool string, args ...string) []byte {
	t.Helper()
	needs.Tool(t, tool, packages[tool])
	var errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", tool, args, err, out, &errors)
	}
	return out
}
