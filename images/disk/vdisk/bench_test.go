package vdisk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images/disk/sparse"
)

// benchEnv names the tarball of a root filesystem that benchmarks use.
const benchEnv = "CLOUDLETS_BENCH_ROOT"

// benchDirEnv names where the disks are made: in memory to see the CPU's
// part; "" is the usual place for temporary files.
const benchDirEnv = "CLOUDLETS_BENCH_DIR"

// benchContent is a disk of 2 GiB with the bytes of a root filesystem on it,
// in two places.
func benchContent(b *testing.B) content {
	b.Helper()
	name := os.Getenv(benchEnv)
	if name == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	half := len(data) / 2 / mib * mib
	return content{2 * gib, []extent{{mib, data[:half]}, {gib, data[half:]}}}
}

// inPieces passes writes on in pieces of 256 KiB, as a filesystem's writer
// gives them.
type inPieces struct{ sparse.Writer }

func (w inPieces) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n, err := w.Writer.Write(rest[:min(len(rest), 256*kib)])
		if err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// timed returns how long make takes to make a file, which is gone after.
func timed(b *testing.B, make func(name string)) time.Duration {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv(benchDirEnv), "vdisk")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	make(filepath.Join(dir, "disk"))
	return time.Since(start)
}

// benchRaw writes the disk with nothing in between.
func benchRaw(b *testing.B, name string, c content) {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	if err := c.feed(inPieces{w}); err != nil {
		b.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		b.Fatal(err)
	}
}

func benchFormat(b *testing.B, format, name string, c content, o Options) {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w, err := New(format, f, c.size, o)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.feed(inPieces{w}); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFormats writes the same disk raw, in each format, and by qemu-img
// from the raw one, by turns. It reports the seconds of each and the ratios:
// below 1 we are faster.
func BenchmarkFormats(b *testing.B) {
	c := benchContent(b)
	for _, v := range []struct {
		name, format string
		o            Options
		qemu         []string // how qemu-img makes the same
	}{
		{"qcow2", "qcow2", Options{}, []string{"-O", "qcow2"}},
		{"qcow2-zlib", "qcow2", Options{Compression: Zlib}, []string{"-c", "-O", "qcow2"}},
		{"qcow2-zstd", "qcow2", Options{Compression: Zstd}, []string{"-c", "-O", "qcow2", "-o", "compression_type=zstd"}},
		{"vmdk", "vmdk", Options{}, []string{"-O", "vmdk", "-o", "subformat=streamOptimized"}},
		{"vmdk-sparse", "vmdk-sparse", Options{}, []string{"-O", "vmdk"}},
		{"vdi", "vdi", Options{}, []string{"-O", "vdi"}},
		{"vhd", "vhd", Options{}, []string{"-O", "vpc"}},
		{"vhdx", "vhdx", Options{}, []string{"-O", "vhdx"}},
	} {
		b.Run(v.name, func(b *testing.B) { benchAgainst(b, c, v.format, v.o, v.qemu) })
	}
}

func benchAgainst(b *testing.B, c content, format string, o Options, qemu []string) {
	source := filepath.Join(b.TempDir(), "raw")
	benchRaw(b, source, c)
	var plain, ours, theirs time.Duration
	for b.Loop() {
		plain += timed(b, func(name string) { benchRaw(b, name, c) })
		ours += timed(b, func(name string) { benchFormat(b, format, name, c, o) })
		theirs += timed(b, func(name string) {
			run(b, "qemu-img", append([]string{"convert", "-f", "raw", source, name}, qemu...)...)
		})
	}
	b.ReportMetric(plain.Seconds()/float64(b.N), "raw-s/op")
	b.ReportMetric(ours.Seconds()/float64(b.N), "ours-s/op")
	b.ReportMetric(theirs.Seconds()/float64(b.N), "qemu-img-s/op")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "ours/raw")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "ours/qemu-img")
}

// BenchmarkMemory reports how much is allocated for a disk of 2 TiB with a
// little in each GiB.
func BenchmarkMemory(b *testing.B) {
	var c content
	data := noise(20, 64*kib)
	for off := int64(0); off < 2*tib; off += gib {
		c.extents = append(c.extents, extent{off, data})
	}
	for _, f := range Formats() {
		if f.Name == "gce" {
			continue // every byte is compressed: that takes minutes
		}
		c.size, _ = f.RoundSize(min(2*tib, f.MaxSize))
		c := content{c.size, c.extents[:c.size/gib]}
		b.Run(f.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				timed(b, func(name string) { benchFormat(b, f.Name, name, c, Options{}) })
			}
		})
	}
}
