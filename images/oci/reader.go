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
