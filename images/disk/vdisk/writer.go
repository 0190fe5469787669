package vdisk

import (
	"fmt"

	"cloudlets/images/disk/sparse"
)

const (
	// bufferSize is how much content is gathered before it is stored.
	bufferSize = 2 * mib
	// directCells is the shortest run of cells that is stored from where the
	// caller has it, without gathering.
	directCells = 4
)

var _ sparse.Writer = (*Writer)(nil)

// Writer takes a disk's content from beginning to end and makes a container
// of it. It is for one goroutine at a time. After an error it only repeats it.
type Writer struct {
	name string
	to   container
	size int64 // of the disk
	pos  int64 // what came so far

	cell  int
	buf   []byte  // gathered cells, then the one that is being filled
	offs  []int64 // where the gathered cells lie; none is all zeros
	fill  int     // bytes of the cell that is being filled
	spare []int64 // offsets of the cells of a direct run

	err    error
	closed bool
}

func newWriter(f Format, to container, size int64, workers int) *Writer {
	cells := max(bufferSize/f.cell, 2*workers)
	return &Writer{
		name: f.Name, to: to, size: size, cell: f.cell,
		buf:   make([]byte, cells*f.cell),
		offs:  make([]int64, 0, cells),
		spare: make([]int64, 0, cells),
	}
}

// Write takes the disk's next bytes. It fails when they reach beyond the
// disk's end.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.admit(int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := w.take(p[done:])
		if err != nil {
			return done, w.fail(err)
		}
		done += n
	}
	return done, nil
}

// Skip goes n bytes further: they are zeros.
func (w *Writer) Skip(n int64) error {
	if err := w.admit(n); err != nil {
		return err
	}
	for n > 0 {
		step := n - n%int64(w.cell)
		if w.fill == 0 && step > 0 {
			w.pos += step
		} else {
			room := w.filling()
			step = min(n, int64(len(room)))
			clear(room[:step])
			if err := w.advance(int(step)); err != nil {
				return w.fail(err)
			}
		}
		n -= step
	}
	return nil
}

// Close completes the container. It fails when the disk's content did not
// come to its end; then the container is not to be used.
func (w *Writer) Close() error {
	if w.err != nil || w.closed {
		return w.err
	}
	w.closed = true
	if w.pos < w.size {
		return w.fail(fmt.Errorf("its content ends after %d bytes, but its size was to be %d", w.pos, w.size))
	}
	if err := w.complete(); err != nil {
		return w.fail(err)
	}
	return nil
}

// complete stores what is gathered, the last cell filled up with zeros, and
// finishes the container.
func (w *Writer) complete() error {
	if w.fill > 0 {
		clear(w.filling())
		w.gather(w.pos - int64(w.fill))
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.to.finish()
}

// admit refuses n more bytes where they cannot be taken.
func (w *Writer) admit(n int64) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return fmt.Errorf("write a %s disk: it is closed", w.name)
	case n < 0:
		return w.fail(fmt.Errorf("%w: %d", sparse.ErrNegative, n))
	case n > w.size-w.pos:
		return w.fail(fmt.Errorf("%d bytes at %d reach beyond its end: its size was to be %d", n, w.pos, w.size))
	}
	return nil
}

// fail makes err the answer to everything from now on.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write a %s disk: %w", w.name, err)
	return w.err
}

// take stores or gathers some of p, and returns how much.
func (w *Writer) take(p []byte) (int, error) {
	if w.fill == 0 && len(p) >= directCells*w.cell {
		if n, err := w.direct(p); n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(w.filling(), p)
	return n, w.advance(n)
}

// direct passes over a zero cell, or stores a run of cells straight out of p.
// It returns 0 where the run is too short to be worth it.
func (w *Writer) direct(p []byte) (int, error) {
	if sparse.IsZero(p[:w.cell]) {
		w.pos += int64(w.cell)
		return w.cell, nil
	}
	w.spare = append(w.spare[:0], w.pos)
	end := w.cell
	for len(w.spare) < cap(w.spare) && len(p) >= end+w.cell && !sparse.IsZero(p[end:end+w.cell]) {
		w.spare = append(w.spare, w.pos+int64(end))
		end += w.cell
	}
	if len(w.spare) < directCells {
		return 0, nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	w.pos += int64(end)
	return end, w.to.put(batch{w.cell, p[:end], w.spare})
}

// filling returns the room that is left in the cell that is being filled.
func (w *Writer) filling() []byte {
	start := len(w.offs) * w.cell
	return w.buf[start+w.fill : start+w.cell]
}

// advance counts n bytes that were put where filling showed.
func (w *Writer) advance(n int) error {
	w.pos += int64(n)
	w.fill += n
	if w.fill < w.cell {
		return nil
	}
	w.gather(w.pos - int64(w.cell))
	if len(w.offs) < cap(w.offs) {
		return nil
	}
	return w.flush()
}

// gather adds the filled cell, which lies at off, to those gathered, unless
// it is a hole.
func (w *Writer) gather(off int64) {
	start := len(w.offs) * w.cell
	if !sparse.IsZero(w.buf[start : start+w.cell]) {
		w.offs = append(w.offs, off)
	}
	w.fill = 0
}

// flush stores the gathered cells. No cell is being filled.
func (w *Writer) flush() error {
	if len(w.offs) == 0 {
		return nil
	}
	b := batch{w.cell, w.buf[:len(w.offs)*w.cell], w.offs}
	w.offs = w.offs[:0]
	return w.to.put(b)
}
