//go:build linux

package erofs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// mixed makes a content in which some runs repeat what came before, others are
// zeros, noise, or noise of few different bytes.
func mixed(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size)
	for len(b) < size {
		n := min(1+r.IntN(1<<r.IntN(18)), size-len(b))
		switch kind := r.IntN(5); {
		case kind == 0:
			b = append(b, make([]byte, n)...)
		case kind == 1 && len(b) > 0:
			from := r.IntN(len(b))
			for i := range n { // it may overlap itself
				b = append(b, b[from+i])
			}
		default:
			different := 1 + r.IntN(1<<(2*kind))
			for range n {
				b = append(b, byte(r.IntN(different)))
			}
		}
	}
	return b
}

// sizes are near where the way that a content is stored changes: the blocks, the
// segments that are compressed, and a batch of them.
var sizes = []int{4095, 4096, 4097, 8191, 8192, 8193, 255 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 4096, 4<<20 - 1, 4 << 20, 4<<20 + 1, 9<<20 + 77}

func mixtures(seed uint64) (m imagetest.Memory) {
	r := rand.New(rand.NewPCG(seed, 3))
	m.Dir("/")
	for i, size := range sizes {
		m.File(fmt.Sprintf("/at-%d", size), mixed(r, size))
		m.File(fmt.Sprintf("/zeros-%d", size), make([]byte, size))
		m.File(fmt.Sprintf("/some-%d", i), mixed(r, r.IntN(200<<10)))
		m.File(fmt.Sprintf("/few-%d", i), mixed(r, r.IntN(4096))).Xattrs = map[string]string{"user.x": strings.Repeat("x", i)}
	}
	return m
}

func TestCompressedContents(t *testing.T) { compressedContents(t, 0, 3) }

// compressedContents has foreign tools read filesystems of mixtures, of some seeds.
func compressedContents(t *testing.T, from, to uint64) {
	needs.Root(t)
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			src := mixtures(seed)
			img := build(t, src)
			disktest.SameOnKernel(t, img, "erofs", src)
			dir := filepath.Join(t.TempDir(), "out")
			tool(t, "erofs-utils", "fsck.erofs", "--extract="+dir, img)
			extracted, err := dirtree.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			wanted := map[string]imagetest.Item{}
			for _, item := range src {
				wanted[item.Path] = item
			}
			if err := extracted.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
				if content == nil {
					return nil
				}
				have, err1 := io.ReadAll(content)
				want, err2 := io.ReadAll(wanted[e.Path].Open())
				if !bytes.Equal(have, want) {
					t.Errorf("%s has other bytes", e.Path)
				}
				return errors.Join(err1, err2)
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sizeOf plans a filesystem and returns its length in bytes.
func sizeOf(t *testing.T, src images.Source, how erofs.Compression) int64 {
	t.Helper()
	o := options()
	o.Compression = how
	l, err := erofs.Plan(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Size()
}

// TestDebianRootIsSmall: the filesystem of a server's root has at most 0.55 of its
// files' bytes.
func TestDebianRootIsSmall(t *testing.T) {
	t.Parallel()
	src := tarball.New(needs.Made(t, "../../../.cache/debian-12-*.tar", "setup-image"))
	isSmall(t, src, sizeOf(t, src, erofs.LZ4), 0.55)
}

// isSmall makes sure that a filesystem of some size has at most a part of its files' bytes.
func isSmall(t *testing.T, src images.Source, size int64, most float64) {
	t.Helper()
	files := int64(0)
	if err := src.Walk(t.Context(), func(e images.Entry, _ io.Reader) error { files += e.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	part := float64(size) / float64(files)
	t.Logf("%.4f of the files' %d bytes", part, files)
	if part > most {
		t.Errorf("the filesystem has %.4f of the files' bytes, want at most %.3f", part, most)
	}
}

// TestNoiseIsNotCompressed: what does not become smaller is stored as it is.
func TestNoiseIsNotCompressed(t *testing.T) {
	var src imagetest.Memory
	src.Dir("/")
	noise := make([]byte, 3<<20+1)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	src.File("/noise", noise)
	src.File("/little", noise[:5000])
	for _, how := range []erofs.Compression{erofs.LZ4, erofs.ZSTD} {
		if squeezed, plain := sizeOf(t, src, how), sizeOf(t, src, erofs.None); squeezed != plain {
			t.Errorf("%d bytes with %s, and %d without", squeezed, how, plain)
		}
	}
}

func TestTheSameOnAnyNumberOfProcessors(t *testing.T) {
	made := func(processors int, o erofs.Options) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		l, err := erofs.Plan(t.Context(), mixtures(7), o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var b bytes.Buffer
		if err := l.Write(t.Context(), sparse.To(&b)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, o := range []erofs.Options{options(), zipped()} {
		if one := made(1, o); !bytes.Equal(one, made(2, o)) || !bytes.Equal(one, made(7, o)) {
			t.Errorf("with %s the filesystem depends on the number of processors", o.Compression)
		}
	}
}

// TestCannotCompress: a person learns which file failed, or which folder to change.
func TestCannotCompress(t *testing.T) {
	var src imagetest.Memory
	src.Dir("/")
	src.Reader("/short", 10_000, func() io.Reader { return strings.NewReader("short") })
	for _, o := range []erofs.Options{options(), zipped()} {
		if _, err := erofs.Plan(t.Context(), src, o); !errors.Is(err, erofs.ErrChanged) || !strings.Contains(err.Error(), "/short: it is shorter") {
			t.Errorf("%s: error %v", o.Compression, err)
		}
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	_, err := erofs.Plan(t.Context(), mixtures(1), options())
	if err == nil || !strings.Contains(err.Error(), "TMPDIR chooses the folder") || errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestProgress: whoever waits learns how many bytes are compressed, and may call it off.
func TestProgress(t *testing.T) {
	const files, size = 40, 1 << 20
	o := options()
	var told []int64
	o.Progress = func(bytes int64) { told = append(told, bytes) }
	l, err := erofs.Plan(t.Context(), lots{files, size}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(told) || len(told) < files || told[len(told)-1] != files*size {
		t.Errorf("told %d, want to learn in ascending order of %d bytes", told, files*size)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough, calls := errors.New("enough"), 0
	o.Progress = func(int64) {
		calls++
		cancel(enough)
	}
	if _, err := erofs.Plan(ctx, lots{files, size}, o); !errors.Is(err, context.Canceled) && !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	if calls != 1 {
		t.Errorf("told %d times after it was called off, want none", calls-1)
	}
}

// lots is a source of files that take no memory themselves.
type lots struct{ files, size int }

func (l lots) Walk(_ context.Context, visit images.VisitFunc) error {
	err := visit(images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}, nil)
	for i := range l.files {
		if err == nil {
			e := images.Entry{Path: fmt.Sprintf("/%d", i), Type: images.Regular, Size: int64(l.size)}
			err = visit(e, io.LimitReader(rand.NewChaCha8([32]byte{byte(i)}), e.Size))
		}
	}
	return err
}

// TestMemoryOfCompression: buffers do not grow with the files.
func TestMemoryOfCompression(t *testing.T) {
	allocated := func(l lots, how erofs.Compression) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sizeOf(t, l, how)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	most := map[erofs.Compression]uint64{erofs.LZ4: 64 << 20, erofs.ZSTD: 128 << 20} // with all workers
	for _, l := range []lots{{200, 1 << 20}, {2, 100 << 20}, {5000, 40 << 10}} {
		for how, most := range most {
			n := allocated(l, how)
			t.Logf("%s, %d files of %d bytes: %d bytes of buffers", how, l.files, l.size, n)
			if n > most {
				t.Errorf("%s, %d files of %d bytes: %d bytes of buffers, want at most %d", how, l.files, l.size, n, most)
			}
		}
	}
}
