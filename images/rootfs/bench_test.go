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

// benchEnv names the tarball of a root filesystem that benchmarks use.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// benchDirEnv names where the files go: in memory to see the CPU's part, on a
// disk to see that; "" is the usual place for temporary files.
const benchDirEnv = "CLOUDLETS_BENCH_DIR"

// BenchmarkWriteVsTar unpacks the same tarball by turns with tar and with
// Write, neither of which waits for the disk, and reports the seconds of both
// and their ratio: below 1 we are faster.
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

// inNewDir times f, and removes what it made. What the one has left for the
// disk to do must not slow the other down.
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
