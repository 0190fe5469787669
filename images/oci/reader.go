package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

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
	return fmt.Errorf("it unpacks to more than %d bytes; where that is right, allow more with --max-size", max)
}

// errDamaged says that a file is not what its digest says.
var errDamaged = errors.New("it is damaged: its digest is another; make or fetch it again")

// hashingReader takes the digest of what is read.
type hashingReader struct {
	r   io.Reader
	sum hash.Hash
}

func newHashingReader(r io.Reader) *hashingReader { return &hashingReader{r: r, sum: sha256.New()} }

func (h *hashingReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	return n, err
}

// check compares the digest, after all was read.
func (h *hashingReader) check(want v1.Hash) error {
	if want.Algorithm != "sha256" {
		return fmt.Errorf("its digest is of %q: only sha256 is known", want.Algorithm)
	}
	if hex.EncodeToString(h.sum.Sum(nil)) != want.Hex {
		return errDamaged
	}
	return nil
}

// checkText checks a document's digest.
func checkText(text []byte, want v1.Hash) error {
	h := newHashingReader(bytes.NewReader(text))
	if _, err := io.Copy(io.Discard, h); err != nil {
		return err
	}
	return h.check(want)
}
