package install

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/images/tarball"
	"cloudlets/images/target"
	"cloudlets/provision/wire"
)

// BenchmarkUpdate installs a root filesystem on a disk with two slots, and updates it to
// one in which a hundredth of the files have changed, by networks of several speeds. It
// reports what share of the pack the update fetched, its table of contents included, and
// its seconds as a part of those of the first install.
func BenchmarkUpdate(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	bed := newBed(b)
	first := servePack(b, bed, "/first", tarball.New(root))
	next := servePack(b, bed, "/next", changed{tarball.New(root), 0.01})
	for _, network := range []struct {
		name string
		rate int // bytes a second; 0 is as fast as memory
	}{{"100Mbit", 100e6 / 8}, {"400Mbit", 400e6 / 8}, {"1Gbit", 1e9 / 8}, {"memory", 0}} {
		b.Run(network.name, func(b *testing.B) {
			link := &link{rate: network.rate}
			bed.server.before = func(w http.ResponseWriter, r *http.Request, blob []byte) bool {
				http.ServeContent(linkWriter{w, link}, r, "", time.Time{}, bytes.NewReader(blob))
				return true
			}
			var firsts, updates time.Duration
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
				firsts += time.Since(start)
				start = time.Now()
				result := install(next)
				updates += time.Since(start)
				b.ReportMetric(float64(next.Size-result.Stats.Copied)/float64(next.Size), "fetched")
				tool(b, "util-linux", "blkdiscard", "--force", d.device) // disks of memory, of which the next round has another
			}
			b.ReportMetric(firsts.Seconds()/float64(b.N), "first-s")
			b.ReportMetric(updates.Seconds()/firsts.Seconds(), "of-first-install")
		})
	}
}

// link is a network: bytes take their time, one answer's after the other's.
type link struct {
	rate int // bytes a second; 0 is no bound
	mu   sync.Mutex
	free time.Time // when all bytes so far have gone through
}

// linkWriter answers no faster than a link carries it.
type linkWriter struct {
	http.ResponseWriter
	link *link
}

func (w linkWriter) Write(data []byte) (int, error) {
	written := 0
	for part := range slices.Chunk(data, 16<<10) {
		w.link.carry(len(part))
		n, err := w.ResponseWriter.Write(part)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// carry waits until the link has carried some more bytes. A sleep may be longer than it
// should be: what follows makes up for it.
func (l *link) carry(n int) {
	if l.rate == 0 {
		return
	}
	l.mu.Lock()
	now := time.Now()
	if idle := now.Add(-20 * time.Millisecond); l.free.Before(idle) {
		l.free = idle
	}
	l.free = l.free.Add(time.Second * time.Duration(n) / time.Duration(l.rate))
	wait := l.free.Sub(now)
	l.mu.Unlock()
	if wait > 2*time.Millisecond {
		time.Sleep(wait)
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
