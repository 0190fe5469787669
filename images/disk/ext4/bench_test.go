package ext4_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
)

// BenchmarkTree makes filesystems of directory trees, and has mke2fs do the
// same with the same trees right after: "x-mke2fs" is our time over its.
func BenchmarkTree(b *testing.B) {
	b.Run("debian", func(b *testing.B) {
		dir := b.TempDir()
		tool(b, "tar", "-xpf", debianRoot(b), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", dir)
		againstMke2fs(b, dir)
	})
	b.Run("100k-small-files", func(b *testing.B) {
		dir := b.TempDir()
		for i := range 100_000 {
			if i%100 == 0 {
				if err := os.MkdirAll(fmt.Sprintf("%s/%d/%d", dir, i/10_000, i/100), 0o755); err != nil {
					b.Fatal(err)
				}
			}
			if err := os.WriteFile(fmt.Sprintf("%s/%d/%d/%d", dir, i/10_000, i/100, i), fmt.Appendf(nil, "%01000d", i), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		againstMke2fs(b, dir)
	})
}

func againstMke2fs(b *testing.B, dir string) {
	b.Helper()
	src, err := images.NewDirSource(dir)
	if err != nil {
		b.Fatal(err)
	}
	img := filepath.Join(b.TempDir(), "disk.img")
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		toFile(b, src, img, ext4.Options{Size: 1 << 30})
		ours += time.Since(start)
		b.StopTimer()
		remove(b, img)
		start = time.Now()
		tool(b, "mke2fs", "-q", "-t", "ext4", "-N", "120000", "-d", dir, img, "1G")
		theirs += time.Since(start)
		remove(b, img)
		b.StartTimer()
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-mke2fs")
}

func toFile(b *testing.B, src images.Source, img string, opts ext4.Options) {
	b.Helper()
	l, err := ext4.Plan(b.Context(), src, opts)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(img)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	if err := l.Write(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil { // as mke2fs does
		b.Fatal(err)
	}
}

func remove(b *testing.B, name string) {
	b.Helper()
	if err := os.Remove(name); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFormat makes an empty filesystem of 16 TB in a sparse file.
func BenchmarkFormat(b *testing.B) {
	img := filepath.Join(b.TempDir(), "disk.img")
	for b.Loop() {
		f, err := os.Create(img)
		if err != nil {
			b.Fatal(err)
		}
		if err := ext4.Format(b.Context(), sparse.At(f, 0), ext4.Options{Size: 16e12, UUID: someUUID, Stale: true}); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
