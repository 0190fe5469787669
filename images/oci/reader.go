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

// boundedReader fails after max bytes, because a small file may unpack to an
// endless stream.
type boundedReader struct {
	r      io.Reader
	n, max int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	// Read up to one byte more than is allowed, to distinguish the end from an
	// excess.
	n, err := b.r.Read(p[:min(int64(len(p)), b.max-b.n+1)])
	if b.n += int64(n); b.n > b.max {
		return n, tooLarge(b.max)
	}
	return n, err
}

func tooLarge(max int64) error {
	return fmt.Errorf("it unpacks to more than %d bytes; if that is intended, raise the limit with --max-size", max)
}

// errDamaged means that a file does not match its digest.
var errDamaged = errors.New("it is damaged, because its digest does not match; make or fetch it again")

// hashingReader computes the digest of what is read.
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

// check compares the digest. Call it after everything was read.
func (h *hashingReader) check(want v1.Hash) error {
	if want.Algorithm != "sha256" {
		return fmt.Errorf("its digest uses %q, but only sha256 is supported", want.Algorithm)
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
