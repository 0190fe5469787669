package sparse

import "io"

// AtWriter is a [Writer] on top of an io.WriterAt. It writes at ascending offsets and
// leaves skipped bytes unwritten.
type AtWriter struct {
	w   io.WriterAt
	off int64
}

var _ Writer = (*AtWriter)(nil)

// At returns a writer that begins at an offset of w. Skipped bytes must already read
// as zeros, as in a new file or on an erased device.
func At(w io.WriterAt, offset int64) *AtWriter {
	return &AtWriter{w: w, off: offset}
}

// Write writes at the current offset and advances it.
func (a *AtWriter) Write(p []byte) (int, error) {
	n, err := a.w.WriteAt(p, a.off)
	a.off += int64(n)
	return n, err
}

// Skip advances the offset by n.
func (a *AtWriter) Skip(n int64) error {
	if err := checkSkip(n); err != nil {
		return err
	}
	a.off += n
	return nil
}

// Offset returns the offset of the next byte, after everything written or skipped.
func (a *AtWriter) Offset() int64 { return a.off }
