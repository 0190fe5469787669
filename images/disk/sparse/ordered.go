package sparse

import "fmt"

// Ordered writes at ever higher places of what is written from its beginning
// to its end, and knows where it is.
type Ordered struct {
	w   Writer
	pos int64
}

var _ Writer = (*Ordered)(nil)

// InOrder begins at the beginning of w.
func InOrder(w Writer) *Ordered { return &Ordered{w: w} }

// Pos is the place that was reached.
func (o *Ordered) Pos() int64 { return o.pos }

// Write writes at the place that was reached.
func (o *Ordered) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.pos += int64(n)
	return n, err
}

// Skip goes n bytes further.
func (o *Ordered) Skip(n int64) error {
	if err := o.w.Skip(n); err != nil {
		return err
	}
	o.pos += n
	return nil
}

// SkipTo goes forward to a place. One that is behind is an error.
func (o *Ordered) SkipTo(off int64) error {
	if off < o.pos {
		return fmt.Errorf("byte %d comes after byte %d was written", off, o.pos)
	}
	return o.Skip(off - o.pos)
}

// WriteAt skips what is before off, which was not reached yet.
func (o *Ordered) WriteAt(p []byte, off int64) (int, error) {
	if err := o.SkipTo(off); err != nil {
		return 0, err
	}
	return o.Write(p)
}

// Put is WriteAt of all of p, or an error.
func (o *Ordered) Put(p []byte, off int64) error {
	_, err := o.WriteAt(p, off)
	return err
}
