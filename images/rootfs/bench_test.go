//go:build linux

package rootfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/tarball"
)

// benchEnv is the environment variable with the path of a tarball of a root
// filesystem, which the benchmarks unpack.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// benchDirEnv is the environment variable with the directory for the files. Use
// one in memory to measure the CPU's part, or one on a disk to measure the
// disk's. "" means the usual directory for temporary files.
const benchDirEnv = "CLOUDLETS_BENCH_DIR"

// BenchmarkWriteVsTar unpacks the same tarball alternately with tar and with
// Write. Neither waits for the disk. It reports the seconds of both and their
// ratio; below 1 Write is faster.
func BenchmarkWriteVsTar(b *testing.B) {
	name := os.Getenv(benchEnv)
	if name == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	var plain, ours time.Duration
	for b.Loop() {
		plain += inNewDir(b, func(dir string) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			cmd := exec.CommandContext(b.Context(), "tar", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", name, "-C", dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("tar: %v: %s", err, out)
			}
		})
		ours += inNewDir(b, func(dir string) {
			if _, err := Write(b.Context(), dir, tarball.New(name), Options{NoSync: true}); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.ReportMetric(plain.Seconds()/float64(b.N), "tar-s/op")
	b.ReportMetric(ours.Seconds()/float64(b.N), "write-s/op")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "write/tar")
}

// inNewDir measures the time of f and removes what f made, so that work left
// for the disk by one run does not slow down the other.
func inNewDir(b *testing.B, f func(dir string)) time.Duration {
	b.Helper()
	base, err := os.MkdirTemp(os.Getenv(benchDirEnv), "rootfs-bench-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(base)
	start := time.Now()
	f(filepath.Join(base, "image"))
	took := time.Since(start)
	unix.Sync()
	return took
}
