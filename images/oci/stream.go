package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
	"cloudlets/images/tempfile"
)

// OpenStream opens the image in an archive that comes from a stream, such as
// the output of "docker save". name is for errors.
//
// If the stream has something else, im is nil, and rest reads the stream from
// its beginning. The caller closes rest. To tell them apart, OpenStream reads
// until a name cannot belong to an archive of images: usually the first one.
// What it reads is kept in a temporary file without a name.
func OpenStream(ctx context.Context, name string, r io.Reader, opt Options) (im *Image, rest io.ReadCloser, err error) {
	opt.MaxSize = cmp.Or(max(opt.MaxSize, 0), tarball.DefaultMaxSize)
	temp, err := tempfile.Create(opt.TempDir, "cloudlets-*.tar")
	if err != nil {
		// Not an error of the image: that the folder is not there is no missing file of it.
		return nil, nil, fmt.Errorf("read image %s: unpack it to a temporary file: %v; TMPDIR chooses the folder", name, err)
	}
	copied := &copyReader{r: bounded.ByContext(ctx, r), to: temp}
	isImage, err := detectStream(ctx, copied, opt)
	if err == nil && isImage {
		_, err = io.Copy(io.Discard, bounded.BySize(copied, opt.MaxSize))
	}
	err = cmp.Or(err, copied.err)
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	switch {
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("read image %s: %w", name, err), temp.Close())
	case !isImage:
		return nil, replay{io.MultiReader(temp, r), temp}, nil
	}
	a, err := readArchive(ctx, temp, opt)
	if err != nil {
		return nil, nil, fmt.Errorf("open container image %s: %w", name, err)
	}
	im, err = OpenBundle(ctx, name, a, opt)
	return im, nil, err
}

// detectStream reports whether a stream holds images. That it cannot be
// unpacked is not an error here: then it is something else.
func detectStream(ctx context.Context, r io.Reader, opt Options) (bool, error) {
	plain, err := tarball.Decompress(r)
	if err != nil {
		return false, ctx.Err()
	}
	kind := detectTar(bounded.BySize(plain, opt.MaxSize))
	return kind != "", errors.Join(ctx.Err(), plain.Close())
}

// copyReader copies what is read to a file.
type copyReader struct {
	r   io.Reader
	to  *os.File
	err error // of writing
}

// Read reads, and copies what it read.
func (c *copyReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if _, failed := c.to.Write(p[:n]); failed != nil {
		c.err = cmp.Or(c.err, fmt.Errorf("unpack it to a temporary file: %w; TMPDIR chooses the folder", failed))
		return n, c.err
	}
	return n, err
}

// replay reads again what was read, and then the rest.
type replay struct {
	io.Reader
	io.Closer
}
