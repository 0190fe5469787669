package iso

import (
	"context"
	"fmt"

	"cloudlets/images/disk/sparse"
)

// ordered counts how far an image is written.
type ordered struct {
	w   sparse.Writer
	pos int64
}

var _ sparse.Writer = (*ordered)(nil)

// Write writes at the place that was reached.
func (o *ordered) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.pos += int64(n)
	return n, err
}

// Skip goes n bytes further.
func (o *ordered) Skip(n int64) error {
	if err := o.w.Skip(n); err != nil {
		return err
	}
	o.pos += n
	return nil
}

func (o *ordered) put(p []byte, off int64) error {
	if err := o.Skip(off - o.pos); err != nil {
		return err
	}
	_, err := o.Write(p)
	return err
}

// file writes a file at its place. One that is shorter than it said is filled
// up with what is not there.
func (o *ordered) file(ctx context.Context, f placed) error {
	if err := o.Skip(f.offset - o.pos); err != nil {
		return err
	}
	if err := f.Write(ctx, o); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	if o.pos > f.end() {
		return fmt.Errorf("write %s: it has %d bytes and said %d", f.Name, o.pos-f.offset, f.Size)
	}
	return o.Skip(f.end() - o.pos)
}
