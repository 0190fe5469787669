package erofs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"cloudlets/images"
	"cloudlets/images/disk/press"
	"cloudlets/images/tempfile"
)

const (
	// segmentSize is how many bytes of a file are compressed independently of the
	// others.
	segmentSize = 1 << 20
	// A batch of segments is compressed at a time. It has at most batchSize bytes
	// and batchSegments segments, and as many results are kept.
	batchSize, batchSegments = 4 << 20, 32
	// batchFiles bounds the files between those that are compressed.
	batchFiles = 4096
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
	list     extents
}

// squeezer compresses files. It writes what is smaller for it to a temporary
// file: for each such file, in the order of the walk, first its blocks and then its
// extents. It places all files in that order.
type squeezer struct {
	press *press.Press
	spool *os.File
	at    int64 // end of what is used of spool
	place func(number uint32, s shape, blocks uint32)

	arena []byte
	ends  []int // of the segments in arena
	files []file
}

// newSqueezer makes a squeezer. The caller owns its spool.
func newSqueezer(place func(uint32, shape, uint32)) (*squeezer, error) {
	p, err := press.New(min(runtime.GOMAXPROCS(0), maxWorkers), func() (press.Encoder, error) { return new(compressor).press, nil })
	if err != nil {
		return nil, err
	}
	q := &squeezer{press: p, place: place}
	if q.spool, err = tempfile.Create("", "cloudlets-*.erofs"); err != nil {
		return nil, spoolError(err)
	}
	return q, nil
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
	if len(q.files) >= batchFiles {
		if err := q.flush(); err != nil {
			return err
		}
	}
	q.files = append(q.files, f)
	return nil
}

func (q *squeezer) current() *file { return &q.files[len(q.files)-1] }

// Write adds to the content of the current file.
func (q *squeezer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		if q.start() == len(q.arena) && (len(q.ends) == batchSegments || len(q.arena)+segmentSize > batchSize) {
			if err := q.flush(); err != nil {
				return done, err
			}
		}
		n := min(len(p)-done, segmentSize-(len(q.arena)-q.start()))
		q.arena = append(q.arena, p[done:done+n]...)
		if done += n; len(q.arena)-q.start() == segmentSize {
			q.endSegment()
		}
	}
	return len(p), nil
}

// start returns where in arena the segment begins that is not complete.
func (q *squeezer) start() int {
	if len(q.ends) == 0 {
		return 0
	}
	return q.ends[len(q.ends)-1]
}

func (q *squeezer) endSegment() {
	if len(q.arena) > q.start() {
		q.ends = append(q.ends, len(q.arena))
		q.current().segments++
	}
}

// end ends the current file. Plain is its final uncompressed shape.
func (q *squeezer) end(plain shape) {
	q.endSegment()
	f := q.current()
	f.plain, f.whole = plain, true
}

// flush compresses the batch and places its files. A file that is not complete
// stays.
func (q *squeezer) flush() error {
	results, err := q.press.All(len(q.ends), func(i int) []byte {
		start := 0
		if i > 0 {
			start = q.ends[i-1]
		}
		return q.arena[start:q.ends[i]]
	})
	if err != nil {
		return err
	}
	rest := q.files[:0]
	for _, f := range q.files {
		for _, r := range results[:f.segments] {
			if err := q.keep(&f, r); err != nil {
				return err
			}
		}
		results = results[f.segments:]
		if f.segments = 0; !f.whole {
			rest = append(rest, f)
			continue
		}
		if err := q.settle(f); err != nil {
			return err
		}
	}
	q.files, q.arena, q.ends = rest, q.arena[:0], q.ends[:0]
	return nil
}

// keep adds a compressed segment to a file.
func (q *squeezer) keep(f *file, segment []byte) error {
	list, blocks := pressed(segment)
	if _, err := q.spool.WriteAt(blocks, q.at+int64(f.list.count())*blockSize); err != nil {
		return spoolError(err)
	}
	f.list = append(f.list, list...)
	return nil
}

// settle decides how a file is stored, and places it.
func (q *squeezer) settle(f file) error {
	s := pressedShape(f.size, f.plain.head-inodeSize, uint32(f.list.count()))
	if f.list == nil || !s.smaller(f.plain) {
		q.place(f.number, f.plain, 0)
		return nil
	}
	if _, err := q.spool.WriteAt(f.list, q.at+s.blocks*blockSize); err != nil {
		return spoolError(err)
	}
	q.at += s.blocks*blockSize + int64(len(f.list))
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

func (q *squeezer) close(err error) error { return errors.Join(err, q.spool.Close()) }
