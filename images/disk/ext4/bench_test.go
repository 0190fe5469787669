//go:build linux

package ext4_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/dirtree"
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
	src, err := dirtree.Open(dir)
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

// BenchmarkFormat makes empty filesystems in a sparse file, as the agent does
// on a disk that keeps old bytes, and has mke2fs do the same right after.
func BenchmarkFormat(b *testing.B) {
	for _, c := range []struct {
		name string
		size int64
	}{{"20GB", 20e9}, {"1TB", 1e12}, {"16TB", 16e12}} {
		b.Run(c.name, func(b *testing.B) {
			img := filepath.Join(b.TempDir(), "disk.img")
			var ours, theirs time.Duration
			for b.Loop() {
				ours += onNewFile(b, img, c.size, func() {
					formatFile(b, img, ext4.Options{Size: c.size, UUID: someUUID, Stale: true, LazyJournal: true})
				})
				theirs += onNewFile(b, img, c.size, func() {
					tool(b, "mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", img)
				})
			}
			b.ReportMetric(ours.Seconds()*1000/float64(b.N), "format-ms/op")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-mke2fs")
		})
	}
}

// onNewFile times what is done with a file of nothing but a hole.
func onNewFile(b *testing.B, name string, size int64, do func()) time.Duration {
	b.Helper()
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	do()
	took := time.Since(start)
	remove(b, name)
	return took
}

func formatFile(b *testing.B, img string, opts ext4.Options) {
	b.Helper()
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := ext4.Format(b.Context(), sparse.At(f, 0), opts); err != nil {
		b.Fatal(err)
	}
}
