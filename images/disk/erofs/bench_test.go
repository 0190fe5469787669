//go:build linux

package erofs_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/sparse"
)

// BenchmarkVersusMkfs makes a compressed filesystem of a directory, by turns
// with mkfs.erofs -zlz4 and with this package, both into a new file and until
// nothing waits for the disk. It reports the seconds of both and their ratio, the
// same for processor time, and both sizes as a part of the files' bytes. Below 1 we are
// faster or smaller. It also reports what this package takes with zstd, which the mkfs.erofs
// of Debian 12 does not know.
func BenchmarkVersusMkfs(b *testing.B) {
	const env = "CLOUDLETS_BENCH_ROOT"
	root := os.Getenv(env)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", env)
	}
	dir := b.TempDir()
	tree, img := filepath.Join(dir, "tree"), filepath.Join(dir, "img")
	if err := os.Mkdir(tree, 0o755); err != nil {
		b.Fatal(err)
	}
	tool(b, "tar", "tar", "-xpf", root, "-C", tree)
	src, err := dirtree.Open(tree)
	if err != nil {
		b.Fatal(err)
	}
	var total int64
	if err := src.Walk(b.Context(), func(e images.Entry, _ io.Reader) error { total += e.Size; return nil }); err != nil {
		b.Fatal(err)
	}
	size := func() float64 {
		info, err := os.Stat(img)
		if err := errors.Join(err, os.Remove(img)); err != nil {
			b.Fatal(err)
		}
		return float64(info.Size()) / float64(total)
	}
	var them, us, zstd, theirCPU, ourCPU, zstdCPU time.Duration
	var theirSize, ourSize, zstdSize float64
	ours := func(o erofs.Options, took, cpu *time.Duration) float64 {
		start, used := time.Now(), processorTime(b, syscall.RUSAGE_SELF)
		writeTo(b, img, src, o)
		*cpu += processorTime(b, syscall.RUSAGE_SELF) - used
		mustRun(b, "sync", img)
		*took += time.Since(start)
		return size()
	}
	for b.Loop() {
		start := time.Now()
		used := processorTime(b, syscall.RUSAGE_CHILDREN)
		tool(b, "erofs-utils", "mkfs.erofs", "-zlz4", img, tree)
		theirCPU += processorTime(b, syscall.RUSAGE_CHILDREN) - used
		mustRun(b, "sync", img)
		them, theirSize = them+time.Since(start), size()
		ourSize = ours(options(), &us, &ourCPU)
		zstdSize = ours(zipped(), &zstd, &zstdCPU)
	}
	b.ReportMetric(them.Seconds()/float64(b.N), "mkfs-s/op")
	b.ReportMetric(us.Seconds()/float64(b.N), "ours-s/op")
	b.ReportMetric(us.Seconds()/them.Seconds(), "ratio")
	b.ReportMetric(theirCPU.Seconds()/float64(b.N), "mkfs-cpu-s/op")
	b.ReportMetric(ourCPU.Seconds()/float64(b.N), "ours-cpu-s/op")
	b.ReportMetric(ourCPU.Seconds()/theirCPU.Seconds(), "cpu-ratio")
	b.ReportMetric(theirSize, "mkfs-size")
	b.ReportMetric(ourSize, "ours-size")
	b.ReportMetric(zstd.Seconds()/float64(b.N), "zstd-s/op")
	b.ReportMetric(zstdCPU.Seconds()/float64(b.N), "zstd-cpu-s/op")
	b.ReportMetric(zstdSize, "zstd-size")
}

// processorTime returns what this process, or its children that ended, have used.
func processorTime(b *testing.B, whose int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(whose, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mustRun(b *testing.B, name string, args ...string) {
	b.Helper()
	if out, err := exec.CommandContext(b.Context(), name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func writeTo(b *testing.B, img string, src images.Source, o erofs.Options) {
	b.Helper()
	l, err := erofs.Plan(b.Context(), src, o)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	f, err := os.Create(img)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	if err := errors.Join(l.Write(b.Context(), w), w.Finish()); err != nil {
		b.Fatal(err)
	}
}
