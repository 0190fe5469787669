//go:build linux

package erofs_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// zipped are the options of a filesystem that is compressed with zstd.
func zipped() erofs.Options {
	o := options()
	o.Compression = erofs.ZSTD
	return o
}

// buildZstd writes an image to a file. Debian's fsck.erofs does not know zstd.
func buildZstd(t testing.TB, src images.Source) string {
	t.Helper()
	l, err := erofs.Plan(t.Context(), src, zipped())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return write(t, l)
}

// sameWithZstd makes a filesystem in a file, and compares its files with the source, as a reader of
// this test finds them, and a kernel that can.
func sameWithZstd(t *testing.T, src images.Source) (img string) {
	t.Helper()
	img = buildZstd(t, src)
	imagetest.Same(t, readFilesystem(t, img), src)
	if kernelReadsZstd(t) {
		disktest.SameOnKernel(t, img, "erofs", src)
	}
	return img
}

// kernelReadsZstd says whether this kernel reads EROFS with zstd, as its configuration tells.
// If it does not, only the reader of this test has read the filesystem.
func kernelReadsZstd(t testing.TB) bool {
	t.Helper()
	needs.Root(t)
	config, err := kernelConfig()
	switch {
	case errors.Is(err, os.ErrNotExist):
		t.Log("this kernel tells no configuration, so it was not asked to mount the filesystem")
	case err != nil:
		t.Fatal(err)
	case strings.Contains(config, "\nCONFIG_EROFS_FS_ZIP_ZSTD=y\n"):
		return true
	default:
		t.Log("this kernel was built without CONFIG_EROFS_FS_ZIP_ZSTD, so it was not asked to mount the filesystem")
	}
	return false
}

// kernelConfig returns the configuration of the running kernel.
func kernelConfig() (string, error) {
	f, err := os.Open("/proc/config.gz")
	if err != nil {
		var name unix.Utsname
		if err := unix.Uname(&name); err != nil {
			return "", err
		}
		b, err := os.ReadFile("/boot/config-" + unix.ByteSliceToString(name.Release[:]))
		return string(b), err
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestZstdOneOfEverything(t *testing.T) { sameWithZstd(t, imagetest.Everything()) }

func TestZstdRandomTrees(t *testing.T) { zstdTrees(t, 0, 5) }

// zstdTrees makes filesystems of random trees, of some seeds.
func zstdTrees(t *testing.T, from, to uint64) {
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			sameWithZstd(t, imagetest.Random(rand.New(rand.NewPCG(seed, 7))))
		})
	}
}

func TestZstdContents(t *testing.T) { zstdContents(t, 0, 3) }

// zstdContents makes filesystems of mixtures, of some seeds.
func zstdContents(t *testing.T, from, to uint64) {
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			sameWithZstd(t, mixtures(seed))
		})
	}
}

// TestZstdDebianRoot: the filesystem of a server's root is read as it was, and has at most
// 0.425 of its files' bytes.
func TestZstdDebianRoot(t *testing.T) {
	t.Parallel()
	src := tarball.New(needs.Made(t, "../../../.cache/debian-12-*.tar", "setup-image"))
	info, err := os.Stat(sameWithZstd(t, src))
	if err != nil {
		t.Fatal(err)
	}
	isSmall(t, src, info.Size(), 0.425)
}

// TestZstdReadAtRandom: any part of a large file is read, whichever was read before.
func TestZstdReadAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	content := append(mixed(r, 9<<20+77), bytes.Repeat([]byte("All of this is the same. "), 1<<18)...)
	var src imagetest.Memory
	src.Dir("/")
	src.File("/large", content)
	img := buildZstd(t, src)
	files := map[string]io.ReaderAt{}
	var err error
	if files["reader"], err = readFilesystem(t, img).lookUp("large"); err != nil {
		t.Fatal(err)
	}
	if kernelReadsZstd(t) {
		dir, _ := disktest.Mount(t, img, "erofs", unix.MS_RDONLY)
		f, err := os.Open(filepath.Join(dir, "large"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files["kernel"] = f
	}
	for range 400 {
		at := r.IntN(len(content))
		n := min(1+r.IntN(1<<r.IntN(18)), len(content)-at)
		for name, f := range files {
			got := make([]byte, n)
			if _, err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, content[at:at+n]) {
				t.Fatalf("%s: %d bytes at %d are not as they were (%v)", name, n, at, err)
			}
		}
	}
}

func TestZstdHolesStayHoles(t *testing.T) {
	t.Parallel()
	const size = 4 << 30 // small enough to be compressed
	ones := []int64{0, 1<<31 + 2, size - 1}
	var src imagetest.Memory
	src.Dir("/")
	src.Holes("/sparse", size, ones...)
	src.File("/text", bytes.Repeat([]byte("text"), 1<<18))
	img := buildZstd(t, src)
	if info, err := os.Stat(img); err != nil || info.Size() > 1<<20 {
		t.Errorf("the filesystem has %d bytes (%v)", info.Size(), err)
	}
	file, err := readFilesystem(t, img).lookUp("sparse")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range append(ones, 1<<30, 3<<30+5) {
		got, want := make([]byte, 2), make([]byte, 2)
		for i := range want {
			if slices.Contains(ones, at+int64(i)) {
				want[i] = 1
			}
		}
		if n, err := file.ReadAt(got, at); n == 0 || err != nil && err != io.EOF || !bytes.Equal(got[:n], want[:n]) {
			t.Errorf("at %d there is %v, want %v (%v)", at, got, want, err)
		}
	}
	if kernelReadsZstd(t) {
		dir, _ := disktest.Mount(t, img, "erofs", unix.MS_RDONLY)
		wantOnes(t, filepath.Join(dir, "sparse"), size, ones)
	}
}

// TestZstdDamage makes sure that the reader of this test notices what a kernel would: it
// would prove nothing if it did not look.
func TestZstdDamage(t *testing.T) {
	var src imagetest.Memory
	src.Dir("/")
	src.File("/text", bytes.Repeat([]byte("0123456789abcdef!"), 1<<16))
	img := buildZstd(t, src)
	whole, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	file, err := readFilesystem(t, img).lookUp("text")
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.find(0)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int64{"data": r.at + r.length - 9, "padding": r.at + 5, "entry": (file.after+7)&^7 + 16 + 8 + 4} {
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x55
		if err := os.WriteFile(img, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := readFilesystem(t, img).lookUp("text")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.ReadAt(make([]byte, 100), 0); err == nil {
			t.Errorf("damaged %s was not noticed", name)
		}
	}
}
