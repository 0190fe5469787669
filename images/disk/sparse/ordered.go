package sparse

import "fmt"

// Ordered writes at ascending offsets to a [Writer], and keeps count of the current
// offset.
type Ordered struct {
	w   Writer
	pos int64
}

var _ Writer = (*Ordered)(nil)

// InOrder returns a writer at the beginning of w.
func InOrder(w Writer) *Ordered { return &Ordered{w: w} }

// Pos returns the current offset.
func (o *Ordered) Pos() int64 { return o.pos }

// Write writes at the current offset.
func (o *Ordered) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.pos += int64(n)
	return n, err
}

// Skip advances the offset by n bytes of zeros.
func (o *Ordered) Skip(n int64) error {
	if err := o.w.Skip(n); err != nil {
		return err
	}
	o.pos += n
	return nil
}

// SkipTo advances to an offset. It returns an error if the offset is behind the
// current one.
func (o *Ordered) SkipTo(off int64) error {
	if off < o.pos {
		return fmt.Errorf("cannot go back to byte %d from byte %d: write in ascending order", off, o.pos)
	}
	return o.Skip(off - o.pos)
}

// WriteAt advances to off, which must not be behind the current offset, and writes.
func (o *Ordered) WriteAt(p []byte, off int64) (int, error) {
	if err := o.SkipTo(off); err != nil {
		return 0, err
	}
	return o.Write(p)
}

// Put is like WriteAt, but returns only the error.
func (o *Ordered) Put(p []byte, off int64) error {
	_, err := o.WriteAt(p, off)
	return err
}
