package bed_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudlets/testdata/bed"
)

// extraContent is by how much the second image of the benchmark is larger.
const extraContent = 512 << 20

// BenchmarkBedDaemonMemory reports the memory of an idle daemon, in MiB, once
// with the Debian image and once with one that holds 512 MiB more.
func BenchmarkBedDaemonMemory(b *testing.B) {
	larger := filepath.Join(b.TempDir(), "larger.tar")
	if err := enlarge(debian, larger, extraContent); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, c := range []struct{ image, unit string }{{debian, "idle-MiB"}, {larger, "idle-MiB-with-512-MiB-more"}} {
			b.ReportMetric(idleMemory(b, c.image), c.unit)
		}
	}
}

// enlarge copies a tarball and adds a file of size bytes that do not compress.
func enlarge(from, to string, size int64) error {
	dir, err := os.MkdirTemp(filepath.Dir(to), "extra-")
	if err != nil {
		return err
	}
	script := fmt.Sprintf("cp %q %q && head -c %d /dev/urandom > %q/ballast && tar -rf %[2]q -C %[4]q ./ballast", from, to, size, dir)
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		return fmt.Errorf("enlarge %s: %w: %s", from, err, out)
	}
	return nil
}

// idleMemory is the resident memory, in MiB, of a daemon that has packed an
// image and has nothing more to do.
func idleMemory(b *testing.B, image string) float64 {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), patience)
	defer stop()
	dir := b.TempDir()
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer network.Close()
	if err := bed.NewSite(filepath.Join(dir, "site"), image, "image"); err != nil {
		b.Fatal(err)
	}
	daemon, err := bed.Serve(ctx, network, binary, dir, asServer...)
	if err != nil {
		b.Fatal(err)
	}
	defer daemon.Stop()
	imageReady(ctx, b, daemon)
	return residentMemory(b, daemon.PID())
}

// imageReady waits until a daemon has packed its image.
func imageReady(ctx context.Context, b testing.TB, daemon *bed.Daemon) {
	b.Helper()
	imagesReady(ctx, b, daemon, 1)
}

// imagesReady waits until so many images can be booted, or ways to boot one.
func imagesReady(ctx context.Context, b testing.TB, daemon *bed.Daemon, count int) {
	b.Helper()
	for strings.Count(daemon.Log(), "an image is ready") < count {
		if strings.Contains(daemon.Log(), "an image cannot be booted") {
			b.Fatalf("the image is of no use; log:\n%s", daemon.Log())
		}
		select {
		case <-ctx.Done():
			b.Fatalf("the image was not packed; log:\n%s", daemon.Log())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func residentMemory(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatalf("process %d tells no VmRSS", pid)
	return 0
}
