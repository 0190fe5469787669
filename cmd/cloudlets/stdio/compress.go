package stdio

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Compress calls make with a writer that compresses as the ending of a file's
// name says.
func Compress(ctx context.Context, name string, w io.Writer, make func(context.Context, io.Writer) error) error {
	press, err := compressor(name, w)
	if err != nil {
		return err
	}
	if press == nil {
		return make(ctx, w)
	}
	return errors.Join(make(ctx, press), press.Close())
}

// PlainName is a name without the ending of a compressed file:
// "x.tar" for "x.tar.zst" and for "x.tzst".
func PlainName(name string) string {
	base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	switch ext {
	case ".gz", ".zst", ".xz", ".bz2":
		return base
	case ".tgz", ".tzst", ".txz", ".tbz2":
		return base + ".tar"
	}
	return name
}

// compressor returns a writer that compresses as a name's ending says, or nil if
// the name has no such ending.
func compressor(name string, w io.Writer) (io.WriteCloser, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz", ".tgz":
		return gzip.NewWriter(w), nil
	case ".zst", ".tzst":
		return zstd.NewWriter(w)
	case ".xz", ".txz":
		return xz.NewWriter(w)
	case ".bz2", ".tbz2":
		return nil, errors.New("bzip2 is read but not written; let the name end in .zst, .gz or .xz")
	}
	return nil, nil
}
