package vdisk

import "cloudlets/images/disk/press"

// gce writes the format that Compute Engine imports: a gzipped tar archive in the old
// GNU format that contains the disk as disk.raw.
type gce struct {
	gzip *press.Gzip
	size int64
	pos  int64 // of the disk
}

func newGCE(t target, o Options) (container, error) {
	header, err := tarHeader("disk.raw", t.size, o.Time)
	if err != nil {
		return nil, err
	}
	z, err := press.NewGzip(t.stream(), header, o.workers())
	if err != nil {
		return nil, err
	}
	return &gce{gzip: z, size: t.size}, nil
}

func (g *gce) put(b batch) error {
	for run := range b.runs(g.size) {
		if err := g.hole(run.offs[0]); err != nil {
			return err
		}
		g.pos += int64(len(run.data))
		if err := g.gzip.Add(len(run.offs), run.at); err != nil {
			return err
		}
	}
	return nil
}

// hole writes zeros up to offset off of the disk.
func (g *gce) hole(off int64) error {
	for ; g.pos < off; g.pos += press.ZeroCell {
		if err := g.gzip.AddZeros(); err != nil {
			return err
		}
	}
	return nil
}

func (g *gce) finish() error {
	if err := g.hole(g.size); err != nil {
		return err
	}
	return g.gzip.Finish(make([]byte, tarEnd))
}
