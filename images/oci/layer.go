package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
)

// layer is where a layer is in the bundle, and by which digest it is checked.
type layer struct {
	name   string
	packed v1.Hash // of the file as it is; or, where there is none,
	plain  v1.Hash // of what it unpacks to
	size   int64   // of the file, in bytes; -1 is not known
}

// String is the layer's digest, for errors.
func (l layer) String() string {
	if l.packed.Hex != "" {
		return l.packed.String()
	}
	return l.plain.String()
}

// volumeLabel is GNU tar's type of entry for a name of the whole archive.
const volumeLabel = 'V'

// eachFunc is shown a layer's entry and its place among all of the layer.
type eachFunc func(at int, h *tar.Header, content io.Reader) error

// each reads a layer from end to end, then checks its digest. It unpacks to
// at most max bytes; n is how many they were.
func (l layer) each(ctx context.Context, b bundle, max int64, f eachFunc) (n int64, err error) {
	file, size, err := b.open(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is not there: the image is not whole; fetch it again: %w", l.name, err)
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if l.size >= 0 && size != l.size {
		return 0, fmt.Errorf("it has %d bytes, not %d: %w", size, l.size, errDamaged)
	}
	packed := newHashingReader(bounded.ByContext(ctx, file))
	unpack, err := tarball.Decompress(packed)
	if err != nil {
		return 0, err
	}
	defer unpack.Close()
	unpacked := bounded.BySize(unpack, max)
	plain := newHashingReader(unpacked)
	if err := entries(plain, f); err != nil {
		return unpacked.Count(), err
	}
	return unpacked.Count(), l.finish(packed, plain)
}

// entries shows what a tarball holds, and reads what follows its end.
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

// finish checks the digest that is known.
func (l layer) finish(packed, plain *hashingReader) error {
	if l.packed.Hex == "" {
		return plain.check(l.plain)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return err
	}
	return packed.check(l.packed)
}
