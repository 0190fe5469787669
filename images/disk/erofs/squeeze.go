package erofs

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/tempfile"
)

const (
	// segmentSize is how many bytes of a file are compressed independently of the
	// others.
	segmentSize = 1 << 20
	// A batch is what a worker takes at a time: segments of batchSize bytes in
	// all. It has at most batchFiles files, which counts those that are not compressed.
	batchSize, batchFiles = segmentSize, 4096
	// spareBatches is how many batches there are besides those that workers have, so
	// that no worker waits while the next files are read, and results are written.
	spareBatches = 4
	// mostPressed is the size in bytes of the largest file that is compressed. It
	// bounds the memory of its index, which has a 512th of it.
	mostPressed = 4 << 30
	maxWorkers  = 8
)

// file is a file that waits for its place.
type file struct {
	number   uint32
	size     int64 // of its content
	plain    shape // how it is stored if it is not compressed
	segments int   // number of those in the batch
	whole    bool  // its last segment is in the batch
}

// batch is a part of the image that one worker compresses.
type batch struct {
	files  []file
	data   []byte
	ends   []int  // of the segments in data
	packed []byte // what press returned for each of the segments
	done   chan struct{}
}

// reset empties a batch. It keeps the buffers.
func (b *batch) reset() {
	b.files, b.data, b.ends, b.packed = b.files[:0], b.data[:0], b.ends[:0], b.packed[:0]
}

// start returns where in data the segment begins that is not complete.
func (b *batch) start() int {
	if len(b.ends) == 0 {
		return 0
	}
	return b.ends[len(b.ends)-1]
}

func (b *batch) endSegment() {
	if len(b.data) > b.start() {
		b.ends = append(b.ends, len(b.data))
		b.files[len(b.files)-1].segments++
	}
}

func (b *batch) compress(z packer) {
	start := 0
	for _, end := range b.ends {
		b.packed = press(z, b.packed, b.data[start:end])
		start = end
	}
}

// squeezer compresses files. The goroutine that walks the image fills batches,
// workers compress them, and the first goroutine takes them back in the order in which
// it gave them away, so the result does not depend on the workers. It writes what is
// smaller for it to a temporary file: for each such file, in the order of the
// walk, first its blocks and then its extents. It places all files in that order.
type squeezer struct {
	ctx     context.Context
	workers *errgroup.Group
	work    chan *batch
	queue   []*batch // given to the workers, the first one first
	spare   int      // how many more batches may be made
	batch   *batch   // which is being filled

	left int64 // bytes of the current file that did not come yet

	spool    *os.File
	at       int64   // end of what is used of spool
	list     extents // of the file whose segments are being written
	place    func(number uint32, s shape, blocks uint32)
	progress func(bytes int64)
	bytes    int64 // of the files that were compressed so far
}

// newSqueezer starts a squeezer, which must be stopped. The caller owns its spool.
func newSqueezer(ctx context.Context, place func(uint32, shape, uint32), opts Options) (*squeezer, error) {
	spool, err := tempfile.Create("", "cloudlets-*.erofs")
	if err != nil {
		return nil, spoolError(err)
	}
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	q := &squeezer{spool: spool, place: place, progress: opts.Progress, spare: workers + spareBatches - 1}
	q.workers, q.ctx = errgroup.WithContext(ctx)
	// A batch can be sent without waiting, because there are no more of them.
	q.work = make(chan *batch, workers+spareBatches)
	q.batch = newBatch()
	for range workers {
		q.workers.Go(func() error { return q.compress(opts.Compression.packer()) })
	}
	return q, nil
}

func newBatch() *batch {
	return &batch{data: make([]byte, 0, batchSize), packed: make([]byte, 0, batchSize), done: make(chan struct{}, 1)}
}

// compress is what a worker does until there is no more work or the context ends.
func (q *squeezer) compress(z packer) error {
	for b := range q.work {
		if err := q.ctx.Err(); err != nil {
			return err
		}
		b.compress(z)
		b.done <- struct{}{}
	}
	return nil
}

// stop ends the workers.
func (q *squeezer) stop() error {
	close(q.work)
	return q.workers.Wait()
}

// spoolError hides which error it is: a caller must not take a missing directory
// for a missing file of the image.
func spoolError(err error) error {
	return fmt.Errorf("compress into a temporary file: %v; TMPDIR chooses the folder", err)
}

// squeezable reports whether a file could become smaller.
func squeezable(e images.Entry, content io.Reader) bool {
	return e.Type == images.Regular && e.Size > blockSize && e.Size <= mostPressed && content != nil
}

// begin begins a file. Its content, if it is to be compressed, is written next.
func (q *squeezer) begin(f file) error {
	if len(q.batch.files) >= batchFiles {
		if err := q.next(); err != nil {
			return err
		}
	}
	q.left = f.size
	q.batch.files = append(q.batch.files, f)
	return nil
}

// Write adds to the content of the current file.
func (q *squeezer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		b := q.batch
		if begun := len(b.data) - b.start(); begun == 0 && len(b.data) > 0 && int64(len(b.data))+min(q.left, segmentSize) > batchSize {
			if err := q.nextPart(); err != nil {
				return done, err
			}
			b = q.batch
		}
		n := min(len(p)-done, segmentSize-(len(b.data)-b.start()))
		b.data = append(b.data, p[done:done+n]...)
		q.left -= int64(n)
		if done += n; len(b.data)-b.start() == segmentSize {
			b.endSegment()
		}
	}
	return len(p), nil
}

// nextPart gives away the batch with what it has of the current file, of which the
// next batch has the rest.
func (q *squeezer) nextPart() error {
	f := q.batch.files[len(q.batch.files)-1]
	if err := q.next(); err != nil {
		return err
	}
	f.segments = 0
	q.batch.files = append(q.batch.files, f)
	return nil
}

// end ends the current file. Plain is its final uncompressed shape.
func (q *squeezer) end(plain shape) {
	q.batch.endSegment()
	f := &q.batch.files[len(q.batch.files)-1]
	f.plain, f.whole = plain, true
}

// next gives the batch to the workers and takes an empty one. If there are enough
// batches, that is the oldest one, as soon as it is compressed.
func (q *squeezer) next() error {
	q.work <- q.batch
	q.queue = append(q.queue, q.batch)
	if q.spare > 0 {
		q.spare--
		q.batch = newBatch()
		return nil
	}
	var err error
	q.batch, err = q.takeBack()
	return err
}

// flush places all files.
func (q *squeezer) flush() error {
	if err := q.next(); err != nil {
		return err
	}
	for len(q.queue) > 0 {
		if _, err := q.takeBack(); err != nil {
			return err
		}
	}
	return nil
}

// takeBack waits for the batch that was given away first, and places its files. It
// returns the batch, which is empty then.
func (q *squeezer) takeBack() (*batch, error) {
	b := q.queue[0]
	select {
	case <-b.done:
	case <-q.ctx.Done():
		return nil, context.Cause(q.ctx)
	}
	q.queue = slices.Delete(q.queue, 0, 1)
	packed := b.packed
	for _, f := range b.files {
		for range f.segments {
			list, blocks, rest := pressed(packed)
			if err := q.keep(list, blocks); err != nil {
				return nil, err
			}
			packed = rest
		}
		if f.whole {
			if err := q.settle(f); err != nil {
				return nil, err
			}
		}
	}
	if q.bytes += int64(len(b.data)); q.progress != nil {
		q.progress(q.bytes)
	}
	b.reset()
	return b, nil
}

// keep adds a compressed segment to the current file.
func (q *squeezer) keep(list extents, blocks []byte) error {
	if _, err := q.spool.WriteAt(blocks, q.at+int64(q.list.count())*blockSize); err != nil {
		return spoolError(err)
	}
	q.list = append(q.list, list...)
	return nil
}

// settle decides how a file is stored, and places it.
func (q *squeezer) settle(f file) error {
	s := pressedShape(f.size, f.plain.head-inodeSize, uint32(q.list.count()))
	list := q.list
	q.list = q.list[:0]
	if len(list) == 0 || !s.smaller(f.plain) {
		q.place(f.number, f.plain, 0)
		return nil
	}
	if _, err := q.spool.WriteAt(list, q.at+s.blocks*blockSize); err != nil {
		return spoolError(err)
	}
	q.at += s.blocks*blockSize + int64(len(list))
	q.place(f.number, s, uint32(s.blocks))
	return nil
}

// worthHoles is how many bytes holes must save for a file to keep them rather than
// to be compressed. Only Linux 5.15 and later reads holes.
const worthHoles = 1 << 20

// smaller reports whether a compressed shape is better than another one.
func (s shape) smaller(plain shape) bool {
	bytes := func(s shape) int64 { return s.blocks*blockSize + int64(s.head+s.after) }
	if plain.layout == chunkLayout {
		return bytes(s) < bytes(plain)+worthHoles
	}
	return bytes(s) < bytes(plain)
}
