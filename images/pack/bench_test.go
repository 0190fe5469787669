//go:build linux

package pack

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/tarball"
)

// benchEnv is the environment variable with the path of a tarball of a root
// filesystem, which the benchmarks use.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// benchDirEnv is the environment variable with the directory for the disks'
// files. Use one in memory to measure the CPU's part, or one on a disk to
// measure the disk's. "" means the usual directory for temporary files.
const benchDirEnv = "CLOUDLETS_BENCH_DIR"

const benchDisk = 2 << 30

func benchSource(b *testing.B) images.Source {
	b.Helper()
	name := os.Getenv(benchEnv)
	if name == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	return tarball.New(name)
}

// benchPack packs the benchmark's tree and serves it on loopback.
func benchPack(b *testing.B) (url string, info Info) {
	b.Helper()
	name := filepath.Join(b.TempDir(), "root.pack")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	if info, err = Write(b.Context(), f, benchSource(b), Options{}); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, name)
	}))
	b.Cleanup(srv.Close)
	return srv.URL, info
}

// BenchmarkExtractVsTar writes the same pack to fresh filesystems of the same
// kind, alternately with plain tools and with Extract. The time ends when the
// bytes are on the disk. It reports the seconds of both and their ratio; below
// 1 Extract is faster.
func BenchmarkExtractVsTar(b *testing.B) {
	url, info := benchPack(b)
	var plain, ours time.Duration
	for b.Loop() {
		plain += onFreshDisk(b, func(dir string) {
			tool(b, "curl zstd tar", "bash", "-c",
				`set -o pipefail; curl -sf "$0" | zstd -dc | tar -x --numeric-owner -C "$1" && sync -f "$1"`, url, dir)
		})
		ours += onFreshDisk(b, func(dir string) {
			src := &HTTP{URL: url, Digest: info.Digest}
			toc, err := Fetch(b.Context(), src, info.Ref)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := Extract(b.Context(), src, toc, dir, ExtractOptions{}); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.ReportMetric(plain.Seconds()/float64(b.N), "tar-s/op")
	b.ReportMetric(ours.Seconds()/float64(b.N), "extract-s/op")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "extract/tar")
}

// onFreshDisk measures the time of f on a new filesystem, and removes it.
func onFreshDisk(b *testing.B, f func(dir string)) time.Duration {
	b.Helper()
	d := mountDisk(b, os.Getenv(benchDirEnv), benchDisk)
	defer d.remove(b)
	start := time.Now()
	f(d.dir)
	return time.Since(start)
}

// BenchmarkVerify reads back what Extract wrote. It compares by digests and by
// the sums that Extract recorded.
func BenchmarkVerify(b *testing.B) {
	url, info := benchPack(b)
	dir := mountDisk(b, os.Getenv(benchDirEnv), benchDisk)
	defer dir.remove(b)
	src := &HTTP{URL: url, Digest: info.Digest}
	toc, err := Fetch(b.Context(), src, info.Ref)
	if err != nil {
		b.Fatal(err)
	}
	var sums Sums
	if _, err := Extract(b.Context(), src, toc, dir.dir, ExtractOptions{Sums: &sums}); err != nil {
		b.Fatal(err)
	}
	for name, by := range map[string]*Sums{"digests": nil, "sums": &sums} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(info.Bytes)
			for b.Loop() {
				if err := Verify(b.Context(), toc, dir.dir, VerifyOptions{Sums: by}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWrite packs the tree and discards the result.
func BenchmarkWrite(b *testing.B) {
	src := benchSource(b)
	for b.Loop() {
		info, err := Write(b.Context(), io.Discard, src, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(info.Bytes)
		b.ReportMetric(float64(info.Size)/1e6, "MB")
	}
}
