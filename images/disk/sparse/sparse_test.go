//go:build linux

package sparse_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cloudlets/images/disk/sparse"
)

// content has data, holes of several sizes and zeros at its end.
func content() []byte {
	b := make([]byte, 3<<20+777)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(b[:10000])
	random.Read(b[1<<20+5 : 1<<20+5000])
	b[2<<20-1] = 1
	return b
}

// feed writes content in pieces of changing size.
func feed(t *testing.T, w sparse.Writer, b []byte) {
	t.Helper()
	for size := 1; len(b) > 0; size = size*3 + 1 {
		n := min(size, len(b))
		if got, err := w.Write(b[:n]); err != nil || got != n {
			t.Fatalf("wrote %d of %d bytes: %v", got, n, err)
		}
		b = b[n:]
	}
}

func TestStreamWritesZeros(t *testing.T) {
	want := content()
	var got bytes.Buffer
	feed(t, sparse.Detect(sparse.To(&got)), want)
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the stream differs from what was written")
	}
}

func TestFileHasHoles(t *testing.T) {
	want := content()
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	feed(t, sparse.Detect(w), want)
	if err := w.Skip(1 << 30); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if length := int64(len(want)) + 1<<30; info.Size() != length {
		t.Errorf("the file is %d bytes long, want %d", info.Size(), length)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 2<<20 {
		t.Errorf("the file takes %d bytes of disk: its holes were written", used)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file differs from what was written (%v)", err)
	}
}

func TestAtBeginsAtOffset(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := sparse.At(f, 4096)
	io.WriteString(w, "a")
	w.Skip(9)
	io.WriteString(w, "b")
	got, _ := os.ReadFile(f.Name())
	want := append(append(make([]byte, 4096), 'a'), append(make([]byte, 9), 'b')...)
	if !bytes.Equal(got, want) || w.Offset() != 4107 {
		t.Errorf("offset %d, file of %d bytes; want 4107, and 4107 bytes with a and b in place", w.Offset(), len(got))
	}
}

// recorder notes what arrives.
type recorder struct{ written, skipped int64 }

func (r *recorder) Write(p []byte) (int, error) { r.written += int64(len(p)); return len(p), nil }
func (r *recorder) Skip(n int64) error          { r.skipped += n; return nil }

func TestDetectSkipsWholeBlocksOnly(t *testing.T) {
	tests := map[string]struct {
		before, zeros int
		skipped       int64
	}{
		"a block":                  {0, 4096, 4096},
		"less than a block":        {0, 4095, 0},
		"blocks and a bit":         {0, 3*4096 + 1, 3 * 4096},
		"two halves":               {2048, 4096, 0},
		"whole ones in the middle": {100, 3 * 4096, 2 * 4096},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r recorder
			w := sparse.Detect(&r)
			w.Write(append(bytes.Repeat([]byte{1}, tt.before), make([]byte, tt.zeros)...))
			if r.skipped != tt.skipped || r.written+r.skipped != int64(tt.before+tt.zeros) {
				t.Errorf("wrote %d and skipped %d bytes, want %d skipped", r.written, r.skipped, tt.skipped)
			}
		})
	}
}

func TestSkipBackwardsIsRefused(t *testing.T) {
	for _, w := range []sparse.Writer{sparse.To(io.Discard), sparse.At(nil, 0), sparse.Detect(sparse.To(io.Discard))} {
		if err := w.Skip(-1); !errors.Is(err, sparse.ErrNegative) {
			t.Errorf("%T: %v, want ErrNegative", w, err)
		}
	}
}

func TestIsZero(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 100000} {
		b := make([]byte, n)
		if !sparse.IsZero(b) {
			t.Errorf("%d zeros are not zero", n)
		}
		if n > 0 {
			b[n-1] = 1
			if sparse.IsZero(b) {
				t.Errorf("%d bytes with a one at the end are zero", n)
			}
		}
	}
}
