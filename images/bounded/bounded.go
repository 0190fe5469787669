// Package bounded has readers that end with a context, or at a size: what a
// small file unpacks to may have no end.
package bounded

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/images/bytesize"
)

// ByContext reads from r until ctx ends, and then returns its error.
func ByContext(ctx context.Context, r io.Reader) io.Reader { return &byContext{ctx, r} }

type byContext struct {
	ctx context.Context
	r   io.Reader
}

func (c *byContext) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// BySize reads from r, and returns the error of [TooLarge] when there are more
// than max bytes.
func BySize(r io.Reader, max int64) *SizeReader { return &SizeReader{r: r, max: max} }

// SizeReader is what [BySize] makes.
type SizeReader struct {
	r      io.Reader
	n, max int64
}

// Count is how many bytes were read; above the bound there is at most one.
func (b *SizeReader) Count() int64 { return b.n }

// Read reads up to the bound.
func (b *SizeReader) Read(p []byte) (int, error) {
	// One byte more than is allowed, to tell the end from too much.
	n, err := b.r.Read(p[:min(int64(len(p)), b.max-b.n+1)])
	if b.n += int64(n); b.n > b.max {
		return n, TooLarge(b.max)
	}
	return n, err
}

// NoEOF turns io.EOF into io.ErrUnexpectedEOF, for a reader that must have more.
func NoEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// TooLarge says that an image unpacks to more than max bytes, and what allows
// more.
func TooLarge(max int64) error {
	return fmt.Errorf("it unpacks to more than %s; where that is right, allow more with --max-size", bytesize.Exact(max))
}
