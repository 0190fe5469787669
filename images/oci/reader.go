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
