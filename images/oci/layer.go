package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
)

// layer says where a layer is in the bundle, and by which digest it is checked.
type layer struct {
	name   string
	packed v1.Hash // digest of the file; if it is unknown, plain is used
	plain  v1.Hash // digest of the unpacked file
	size   int64   // of the file in bytes, or -1 if unknown
}

// String returns the digest of the layer, for errors.
func (l layer) String() string {
	if l.packed.Hex != "" {
		return l.packed.String()
	}
	return l.plain.String()
}

// volumeLabel is GNU tar's entry type for the name of the whole archive.
const volumeLabel = 'V'

// eachFunc is called with an entry of a layer and its index in the layer.
type eachFunc func(at int, h *tar.Header, content io.Reader) error

// each reads a whole layer and then checks its digest. The layer may unpack to
// at most max bytes. n is the number of unpacked bytes.
func (l layer) each(ctx context.Context, b Bundle, max int64, f eachFunc) (n int64, err error) {
	return l.unpack(ctx, b, max, func(plain io.Reader) error { return entries(plain, f) })
}

// unpack is [layer.each] for what reads the layer as a tarball.
func (l layer) unpack(ctx context.Context, b Bundle, max int64, f func(plain io.Reader) error) (n int64, err error) {
	file, size, err := b.Open(ctx, l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("the image is incomplete, because %s is missing; fetch it again: %w", l.name, err)
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if l.size >= 0 && size != l.size {
		return 0, fmt.Errorf("it has %d bytes, not %d: %w", size, l.size, errDamaged)
	}
	packed := newHashingReader(bounded.ByContext(ctx, file), l.packed)
	ofPlain := l.plain
	if l.packed.Hex != "" {
		ofPlain = v1.Hash{} // the digest of the file is enough
	}
	unpack, err := tarball.Decompress(packed)
	if errors.Is(err, tarball.ErrEmpty) { // some tools write no bytes for a layer that changes nothing
		return 0, l.finish(packed, newHashingReader(strings.NewReader(""), ofPlain))
	}
	if err != nil {
		return 0, err
	}
	defer unpack.Close()
	unpacked := bounded.BySize(unpack, max)
	plain := newHashingReader(unpacked, ofPlain)
	if err := f(plain); err != nil {
		return unpacked.Count(), err
	}
	return unpacked.Count(), l.finish(packed, plain)
}

// entries calls f for each entry of a tarball, and reads to the end of r.
func entries(r io.Reader, f eachFunc) error {
	archive := tar.NewReader(r)
	for at := 0; ; at++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == volumeLabel {
			continue
		}
		if err := f(at, h, archive); err != nil {
			return err
		}
	}
}

// finish checks the digest of the layer.
func (l layer) finish(packed, plain *hashingReader) error {
	if l.packed.Hex == "" {
		return plain.check()
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return err
	}
	return packed.check()
}
