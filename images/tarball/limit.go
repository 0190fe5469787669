package tarball

import (
	"context"
	"fmt"
	"io"

	"cloudlets/images/bytesize"
)

// boundedReader fails when there is more to read than max bytes: what a small
// file unpacks to may have no end.
type boundedReader struct {
	r      io.Reader
	n, max int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	// One byte more than is allowed, to tell the end from too much.
	n, err := b.r.Read(p[:min(int64(len(p)), b.max-b.n+1)])
	if b.n += int64(n); b.n > b.max {
		return n, tooLarge(b.max)
	}
	return n, err
}

func tooLarge(max int64) error {
	return fmt.Errorf("it unpacks to more than %s; where that is right, allow more with --max-size", bytesize.Exact(max))
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
