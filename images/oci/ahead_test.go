package oci

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images"
)

// TestLayersAhead reads layers that are larger than what is unpacked ahead of the reader,
// and stops in the midst of them.
func TestLayersAhead(t *testing.T) {
	noise := make([]byte, 2*maxPieces*pieceSize+5)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	text := string(noise)
	img := makePacked(t, "amd64", []string{"gzip", "none"}, []item{reg("a", text)}, []item{reg("b", text[1:])}, []item{reg("c", text[2:])}, []item{reg("d", "")}, []item{reg("e", text[3:])})
	im := mustOpen(t, writeLayout(t, map[string]v1.Image{"v1": img}), Options{})
	from := map[string]int{"/a": 0, "/b": 1, "/c": 2, "/e": 3}
	err := im.Walk(t.Context(), func(e images.Entry, r io.Reader) error {
		start, ok := from[e.Path]
		if !ok {
			return nil
		}
		delete(from, e.Path)
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, noise[start:]) {
			t.Errorf("%s has %d other bytes", e.Path, len(got))
		}
		return err
	})
	if err != nil || len(from) > 0 {
		t.Errorf("%v, not visited: %v", err, from)
	}
	enough := errors.New("enough")
	err = im.Walk(t.Context(), func(e images.Entry, r io.Reader) error {
		if e.Path == "/b" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("stopped with %v", err)
	}
}
