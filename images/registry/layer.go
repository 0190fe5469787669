package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"cloudlets/images"
	"cloudlets/images/tarball"
	"cloudlets/images/tempfile"
)

// layer is all files of an image as one layer, in a file without a name.
type layer struct {
	file           *os.File
	size           int64 // of the file, in bytes
	digest, diffID v1.Hash
}

var _ v1.Layer = (*layer)(nil)

// whiteout begins the name of a file that removes another one in a container
// (OCI Image Format, "Whiteouts").
const whiteout = ".wh."

// newLayer writes the layer. The caller closes its file.
func newLayer(ctx context.Context, src images.Source) (*layer, error) {
	file, err := tempfile.Create("", "cloudlets-*.layer")
	if err != nil {
		return nil, err
	}
	packed, plain := sha256.New(), sha256.New()
	gz := gzip.NewWriter(io.MultiWriter(file, packed))
	err = tarball.Write(ctx, io.MultiWriter(gz, plain), checked{src})
	if err == nil {
		err = gz.Close()
	}
	l := &layer{file: file, digest: hashOf(packed), diffID: hashOf(plain)}
	if err == nil {
		l.size, err = file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the layer: %w", err), file.Close())
	}
	return l, nil
}

func hashOf(sum hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
}

// checked is a source that fails at a name which means something else in a
// container.
type checked struct{ images.Source }

// Walk visits the files.
func (c checked) Walk(ctx context.Context, visit images.VisitFunc) error {
	return c.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		if strings.HasPrefix(path.Base(e.Path), whiteout) {
			return fmt.Errorf("%s cannot be in a container image, where a name with %s removes another file: rename it", e.Path, whiteout)
		}
		return visit(e, content)
	})
}

// Digest is that of the compressed layer.
func (l *layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the digest of the unpacked layer.
func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is that of the compressed layer, in bytes.
func (l *layer) Size() (int64, error) { return l.size, nil }

// MediaType says that it is compressed with gzip.
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Compressed reads the layer.
func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(l.file, 0, l.size)), nil
}

// Uncompressed unpacks the layer.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return gzip.NewReader(io.NewSectionReader(l.file, 0, l.size))
}
