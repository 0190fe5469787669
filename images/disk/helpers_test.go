package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/needs"
)

// tool finds a foreign program, or fails naming the package that has it.
func tool(t testing.TB, name, pkg string) string {
	t.Helper()
	return needs.Tool(t, name, pkg)
}

func run(t testing.TB, name, pkg string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name, pkg), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// newImage is a sparse file of size bytes.
func newImage(t testing.TB, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func readAt(t testing.TB, r io.ReaderAt, off int64, n int64) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := r.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return b
}

func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("got error %v, want one that says %q", err, says)
	}
}

// sparseDevice is a device in memory of which only what was written takes room.
type sparseDevice struct {
	size   int64
	sector int64
	blocks map[int64][]byte
	fill   byte // what is where nothing was written
	writes []write
	syncs  int
	// failAt is the write that fails, from 1; tearAt one of which only the
	// first sectors arrive, as many as torn; lieAt is one that is acknowledged
	// and never arrives.
	failAt, tearAt, lieAt int
	torn                  int64
}

const block = 4096

var errBroken = errors.New("broken device")

func newSparse(size, sector int64) *sparseDevice {
	return &sparseDevice{size: size, sector: sector, blocks: map[int64][]byte{}}
}

func (s *sparseDevice) Sync() error { s.syncs++; return nil }

func (s *sparseDevice) WriteAt(p []byte, off int64) (int, error) {
	if off%s.sector != 0 || int64(len(p))%s.sector != 0 || off < 0 || off+int64(len(p)) > s.size {
		return 0, fmt.Errorf("write of %d bytes at %d: not in whole sectors of the device", len(p), off)
	}
	s.writes = append(s.writes, write{off: off, length: int64(len(p))})
	switch len(s.writes) {
	case s.failAt:
		return 0, errBroken
	case s.lieAt:
		return len(p), nil
	case s.tearAt:
		n, _ := s.put(p[:min(int64(len(p)), s.torn*s.sector)], off)
		return n, errBroken
	}
	return s.put(p, off)
}

func (s *sparseDevice) put(p []byte, off int64) (int, error) {
	for i := 0; i < len(p); {
		b, at := s.block(off + int64(i))
		i += copy(b[at:], p[i:])
	}
	return len(p), nil
}

func (s *sparseDevice) ReadAt(p []byte, off int64) (int, error) {
	for i := 0; i < len(p); {
		if off+int64(i) >= s.size {
			return i, io.EOF
		}
		b, at := s.block(off + int64(i))
		i += copy(p[i:], b[at:])
	}
	return len(p), nil
}

func (s *sparseDevice) block(off int64) ([]byte, int64) {
	n := off / block
	if s.blocks[n] == nil {
		s.blocks[n] = bytes.Repeat([]byte{s.fill}, block)
	}
	return s.blocks[n], off % block
}
