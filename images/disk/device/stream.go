//go:build linux

package device

import (
	"context"
	"fmt"

	"cloudlets/images/disk/sparse"
)

// buffers is how many chunks are in use: one is filled, one is written, and one waits
// between them.
const buffers = 3

// stream receives a disk from its beginning to its end, and passes it in chunks to the
// goroutine that writes them. It keeps the first and the last chunk, which contain the
// partition tables.
type stream struct {
	ctx         context.Context
	size        int64
	pos         int64
	now         *chunk
	free, full  chan *chunk
	first, last *chunk
}

var _ sparse.Writer = (*stream)(nil)

func newStream(ctx context.Context, size int64) *stream {
	s := &stream{ctx: ctx, size: size, free: make(chan *chunk, buffers+2), full: make(chan *chunk, buffers)}
	for range buffers + 2 { // the first and the last chunk are kept
		s.free <- &chunk{buf: alignedBytes(chunkSize)}
	}
	return s
}

// Write receives the next bytes.
func (s *stream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if s.pos == s.size {
			return done, fmt.Errorf("the disk is larger than the device, which has %d bytes", s.size)
		}
		if err := s.turn(); err != nil {
			return done, err
		}
		at := s.pos - s.now.offset()
		n := min(int64(len(p)-done), chunkSize-at, s.size-s.pos)
		s.now.put(p[done:done+int(n)], int(at))
		s.pos += n
		done += int(n)
	}
	return done, nil
}

// Skip advances over bytes that are never read.
func (s *stream) Skip(n int64) error {
	if n < 0 || n > s.size-s.pos {
		return fmt.Errorf("skip %d bytes at byte %d of a device with %d", n, s.pos, s.size)
	}
	s.pos += n
	return nil
}

// turn makes the chunk that contains the next byte the current one.
func (s *stream) turn() error {
	index := s.pos / chunkSize
	if s.now != nil && s.now.index == index {
		return nil
	}
	if err := s.hand(); err != nil {
		return err
	}
	select {
	case s.now = <-s.free:
		s.now.reset(index)
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// hand passes the current chunk on, or keeps it.
func (s *stream) hand() error {
	c := s.now
	s.now = nil
	switch {
	case c == nil:
		return nil
	case c.index == 0:
		s.first = c
		return nil
	case c.index == (s.size-1)/chunkSize:
		s.last = c
		return nil
	}
	select {
	case s.full <- c:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// end checks that the disk is complete, and signals the writing goroutine that no more
// chunks follow.
func (s *stream) end() error {
	if err := s.hand(); err != nil {
		return err
	}
	if s.pos != s.size {
		return fmt.Errorf("the disk ends at byte %d, but the device has %d", s.pos, s.size)
	}
	close(s.full)
	return nil
}

// kept returns how many bytes of the kept chunks are to be written.
func (s *stream) kept(j *journal) (n int64) {
	for _, c := range []*chunk{s.first, s.last} {
		if c == nil {
			continue
		}
		for _, r := range c.used.runs(j.limit(c.index)) {
			n += r.length()
		}
	}
	return n
}
