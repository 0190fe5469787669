package vdisk

import (
	"fmt"

	"cloudlets/images/disk/sparse"
)

const (
	// bufferSize is how many bytes of content are gathered before they are stored.
	bufferSize = 2 * mib
	// directCells is the length of the shortest run of cells that is stored directly
	// from the caller's buffer, without gathering.
	directCells = 4
)

var _ sparse.Writer = (*Writer)(nil)

// Writer receives a disk's content from beginning to end and makes a container of it. It
// must not be used by several goroutines at a time. After an error every method returns
// that error.
type Writer struct {
	name string
	to   container
	size int64 // of the disk
	pos  int64 // bytes received so far

	cell  int
	buf   []byte  // the gathered cells, then the cell that is being filled
	offs  []int64 // disk offsets of the gathered cells, none of which is all zeros
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

// Write receives the disk's next bytes. It fails if they reach beyond the end of the
// disk.
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

// Skip advances by n bytes of zeros.
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

// Close completes the container. It fails if the disk's content is incomplete. The
// container must not be used then.
func (w *Writer) Close() error {
	if w.err != nil || w.closed {
		return w.err
	}
	w.closed = true
	if w.pos < w.size {
		return w.fail(fmt.Errorf("its content ends after %d bytes, but its announced size is %d", w.pos, w.size))
	}
	if err := w.complete(); err != nil {
		return w.fail(err)
	}
	return nil
}

// complete stores the gathered cells, the last of them padded with zeros, and finishes
// the container.
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

// admit returns an error if n more bytes cannot be received.
func (w *Writer) admit(n int64) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return fmt.Errorf("write a %s disk: it is closed", w.name)
	case n < 0:
		return w.fail(fmt.Errorf("%w: %d", sparse.ErrNegative, n))
	case n > w.size-w.pos:
		return w.fail(fmt.Errorf("%d bytes at %d reach beyond its announced size of %d", n, w.pos, w.size))
	}
	return nil
}

// fail stores err, which all later calls return.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write a %s disk: %w", w.name, err)
	return w.err
}

// take stores or gathers a prefix of p, and returns its length.
func (w *Writer) take(p []byte) (int, error) {
	if w.fill == 0 && len(p) >= directCells*w.cell {
		if n, err := w.direct(p); n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(w.filling(), p)
	return n, w.advance(n)
}

// direct skips a cell of zeros, or stores a run of cells directly from p. It returns 0 if
// the run is too short to be worth it.
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

// filling returns the free part of the cell that is being filled.
func (w *Writer) filling() []byte {
	start := len(w.offs) * w.cell
	return w.buf[start+w.fill : start+w.cell]
}

// advance counts n bytes that were copied to the part returned by filling.
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

// gather adds the filled cell, whose disk offset is off, to the gathered cells, unless it
// is all zeros.
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
