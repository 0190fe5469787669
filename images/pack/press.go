package pack

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"cloudlets/images/rootfs"
)

// press divides a byte stream into frames and compresses many of them at the
// same time. The frames leave it in their original order. The number of jobs
// bounds the memory, and jobs are reused.
type press struct {
	ctx   context.Context
	enc   *zstd.Encoder
	zeros func() []byte // a packed frame of zeros, since a sparse file has thousands
	n     int           // workers
	now   *job
	free  chan *job
	work  chan *job
	order chan *job
}

// job is one frame in progress.
type job struct {
	raw    []byte
	pieces []piece
	packed []byte
	sums   []digest // of the pieces
	ready  chan struct{}
}

// piece is a chunk of a file within a frame.
type piece struct {
	entry       int32
	inner, size int32
	off         int64
	fileSize    int64
}

func newPress(ctx context.Context, enc *zstd.Encoder, workers int) *press {
	jobs := 2*workers + 2
	p := &press{
		ctx: ctx, enc: enc, n: workers,
		zeros: sync.OnceValue(func() []byte { return enc.EncodeAll(make([]byte, FrameSize), nil) }),
		free:  make(chan *job, jobs), work: make(chan *job, jobs), order: make(chan *job, jobs),
	}
	for range jobs {
		p.free <- &job{ready: make(chan struct{}, 1)}
	}
	return p
}

// start runs the workers and the emitter until close is called.
func (p *press) start(g *errgroup.Group, out *emitter) {
	for range p.n {
		g.Go(func() error {
			for j := range p.work {
				p.pack(j)
				j.ready <- struct{}{}
			}
			return nil
		})
	}
	g.Go(func() error {
		for j := range p.order {
			<-j.ready
			if err := out.emit(j); err != nil {
				return err
			}
			p.free <- j
		}
		return nil
	})
}

func (p *press) close() {
	close(p.work)
	close(p.order)
}

// Write appends to the stream. It begins a new frame wherever one is full. To
// keep a piece in one frame, call begin first.
func (p *press) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		if err := p.need(1); err != nil {
			return total - len(b), err
		}
		n := min(FrameSize-len(p.now.raw), len(b))
		p.now.raw = append(p.now.raw, b[:n]...)
		b = b[n:]
	}
	return total, nil
}

// begin announces a chunk, which is the next c.size bytes. It begins a new frame where
// the present one would get larger than small files share one.
func (p *press) begin(c piece) error {
	if p.now != nil && len(p.now.pieces) > 0 && len(p.now.raw)+int(c.size) > sharedFrame {
		if err := p.cut(); err != nil {
			return err
		}
	}
	if err := p.need(int(c.size)); err != nil {
		return err
	}
	c.inner = int32(len(p.now.raw))
	p.now.pieces = append(p.now.pieces, c)
	return nil
}

// need makes sure that the current frame has room for n bytes; otherwise it
// begins a new frame.
func (p *press) need(n int) error {
	if p.now != nil && len(p.now.raw)+n > FrameSize {
		if err := p.cut(); err != nil {
			return err
		}
	}
	if p.now != nil {
		return nil
	}
	select {
	case p.now = <-p.free:
		p.now.raw, p.now.pieces = p.now.raw[:0], p.now.pieces[:0]
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// cut ends the current frame. The channels cannot be full, because both have
// room for all jobs.
func (p *press) cut() error {
	if p.now != nil {
		p.order <- p.now
		p.work <- p.now
		p.now = nil
	}
	return p.ctx.Err()
}

// pack compresses one frame and computes the digests of its pieces.
func (p *press) pack(j *job) {
	j.sums = j.sums[:0]
	if len(j.pieces) == 1 && j.pieces[0].size == FrameSize && rootfs.IsZero(j.raw) {
		j.packed = append(j.packed[:0], p.zeros()...)
		j.sums = append(j.sums, zeroFrame())
		return
	}
	j.packed = p.enc.EncodeAll(j.raw, j.packed[:0])
	for _, c := range j.pieces {
		j.sums = append(j.sums, sha256.Sum256(j.raw[c.inner:c.inner+c.size]))
	}
}

// emitter writes finished frames and collects the data of the table.
type emitter struct {
	w        *counter
	progress func(int64)
	done     int64
	chunks   []chunk
	frames   []frame
	whole    hash.Hash        // of the current large file
	digests  map[int32]digest // of large files, by entry
}

func (o *emitter) emit(j *job) error {
	off := o.w.n
	if _, err := o.w.Write(j.packed); err != nil {
		return fmt.Errorf("at byte %d: %w", off, err)
	}
	if len(j.pieces) == 0 {
		return nil
	}
	o.frames = append(o.frames, frame{off: off, end: o.w.n, first: int32(len(o.chunks)), count: int32(len(j.pieces))})
	for i, c := range j.pieces {
		o.chunks = append(o.chunks, chunk{digest: j.sums[i], off: c.off, inner: c.inner, size: c.size, entry: c.entry})
		o.hashWhole(c, j.raw[c.inner:c.inner+c.size])
		o.done += int64(c.size)
	}
	if o.progress != nil {
		o.progress(o.done)
	}
	return nil
}

// hashWhole computes the digest of a file with several chunks. This program
// does not use it, but other tools for zstd:chunked do.
func (o *emitter) hashWhole(c piece, data []byte) {
	if int64(c.size) == c.fileSize {
		return
	}
	if c.off == 0 {
		o.whole = sha256.New()
	}
	o.whole.Write(data)
	if c.off+int64(c.size) == c.fileSize {
		o.digests[c.entry] = digest(o.whole.Sum(nil))
	}
}
