package install

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/images/tarball"
	"cloudlets/images/target"
	"cloudlets/provision/wire"
)

// BenchmarkUpdate installs a root filesystem on a disk with two slots, and updates it to
// one in which a hundredth of the files have changed. It reports what share of the pack
// the update fetched, its table of contents included, and its seconds as a part of those of the first install.
func BenchmarkUpdate(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	bed := newBed(b)
	first := servePack(b, bed, "/first", tarball.New(root))
	next := servePack(b, bed, "/next", changed{tarball.New(root), 0.01})
	for b.Loop() {
		d := newLoopDisk(b, bed.dir, 3<<30)
		bed.job.Inventory.Disks = nil
		bed.use(b, d)
		install := func(blob wire.Blob) Result {
			bed.job.Plan.Pack = blob
			bed.job.Plan.Target = tinyPlan(b, target.Options{Slots: true})
			bed.job.Plan.Target.Entries = []target.Entry{{ID: "cloudlet-0-1", Title: "bench", Version: "1", Kernel: "/bin/bash"}}
			bed.job.Plan.Target.RootSize = 1 << 30
			result := bed.install(b)
			b.Log(result.Report.Times(), result.Stats.Copied)
			if err := Unmount(bed.job.Target); err != nil {
				b.Fatal(err)
			}
			return result
		}
		start := time.Now()
		install(first)
		whole := time.Since(start)
		start = time.Now()
		result := install(next)
		b.ReportMetric(time.Since(start).Seconds()/whole.Seconds(), "of-first-install")
		b.ReportMetric(float64(next.Size-result.Stats.Copied)/float64(next.Size), "fetched")
	}
}

// servePack packs a source, and serves it.
func servePack(b *testing.B, bed *bed, path string, src images.Source) wire.Blob {
	b.Helper()
	file := must[*os.File](b)(os.Create(filepath.Join(bed.dir, "pack")))
	defer file.Close()
	info := must[pack.Info](b)(pack.Write(b.Context(), file, src, pack.Options{}))
	bed.server.put(path, must[[]byte](b)(os.ReadFile(file.Name())))
	return wire.Blob{Path: path, Size: info.Size, Digest: info.Digest}
}

// changed is a source of which a share of the files has other content.
type changed struct {
	images.Source
	share float64
}

func (c changed) Walk(ctx context.Context, visit images.VisitFunc) error {
	chance := rand.New(rand.NewPCG(1, 2))
	return c.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		if e.Type == images.Regular && e.Size > 0 && chance.Float64() < c.share {
			content = inverted{content}
		}
		return visit(e, content)
	})
}

// inverted changes the bytes that it reads.
type inverted struct{ io.Reader }

func (r inverted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	for i := range p[:n] {
		p[i] ^= 0xff
	}
	return n, err
}
