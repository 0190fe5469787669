package sparse

import "io"

// AtWriter writes at ever higher offsets of something that can be written
// anywhere, and leaves out what is zero.
type AtWriter struct {
	w   io.WriterAt
	off int64
}

var _ Writer = (*AtWriter)(nil)

// At begins at an offset of w. What is skipped must read as zeros already:
// it is a new file, or a device that was erased.
func At(w io.WriterAt, offset int64) *AtWriter {
	return &AtWriter{w: w, off: offset}
}

// Write writes at the current offset and moves it.
func (a *AtWriter) Write(p []byte) (int, error) {
	n, err := a.w.WriteAt(p, a.off)
	a.off += int64(n)
	return n, err
}

// Skip moves the offset.
func (a *AtWriter) Skip(n int64) error {
	if err := checkSkip(n); err != nil {
		return err
	}
	a.off += n
	return nil
}

// Offset is where the next byte goes: after everything that was written or
// skipped.
func (a *AtWriter) Offset() int64 { return a.off }
