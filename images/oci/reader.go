package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// errDamaged means that a file does not match its digest.
var errDamaged = errors.New("it is damaged, because its digest does not match; make or fetch it again")

// hashingReader computes the digest of what is read, if that has to be one.
type hashingReader struct {
	r    io.Reader
	want v1.Hash
	sum  hash.Hash
}

// newHashingReader reads what must have a digest. With none, it costs nothing.
func newHashingReader(r io.Reader, want v1.Hash) *hashingReader {
	h := &hashingReader{r: r, want: want}
	if want.Hex != "" {
		h.sum = sha256.New()
	}
	return h
}

func (h *hashingReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if h.sum != nil {
		h.sum.Write(p[:n])
	}
	return n, err
}

// check compares the digest. Call it after everything was read.
func (h *hashingReader) check() error {
	if h.want.Algorithm != "sha256" {
		return fmt.Errorf("its digest uses %q, but only sha256 is supported", h.want.Algorithm)
	}
	if h.sum == nil || hex.EncodeToString(h.sum.Sum(nil)) != h.want.Hex {
		return errDamaged
	}
	return nil
}

// checkText checks a document's digest.
func checkText(text []byte, want v1.Hash) error {
	h := newHashingReader(bytes.NewReader(text), want)
	if _, err := io.Copy(io.Discard, h); err != nil {
		return err
	}
	return h.check()
}
