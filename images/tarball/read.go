package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/bytesize"
)

// volumeLabel is GNU tar's type of entry for a name of the whole archive.
const volumeLabel = 'V'

// readIndex reads a whole archive, skips the contents, checks it, and makes its
// index.
func readIndex(ctx context.Context, in *input, x *indexer) (*index, error) {
	archive := tar.NewReader(in)
	last := "its start"
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		in.mark()
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return x.finish(), endOfTar(in)
		}
		if err != nil {
			return nil, fmt.Errorf("after %s: %w", last, err)
		}
		if err := x.header(in, h, archive); err != nil {
			return nil, fmt.Errorf("entry %q: %w", h.Name, err)
		}
		last = h.Name
	}
}

// header adds one entry of the archive.
func (x *indexer) header(in *input, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return checkGlobal(h)
	case volumeLabel:
		return nil
	}
	at := in.start
	e, err := Entry(h)
	if err != nil {
		return err
	}
	if err := x.add(e, at); err != nil {
		return err
	}
	if e.Path != images.ManifestPath || e.Type != images.Regular || e.Size > images.MaxManifest {
		return nil
	}
	x.manifestAt = at
	x.manifest, err = io.ReadAll(content)
	return err
}

// checkGlobal refuses records that change all entries that follow: hardly any
// tool writes them, and readers disagree about them.
func checkGlobal(h *tar.Header) error {
	for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		switch key {
		case "path", "linkpath", "size", "uid", "gid", "mtime":
			return fmt.Errorf("sets %q for all that follows, which is not supported: make the tarball without global headers", key)
		}
		if strings.HasPrefix(key, xattrRecord) || strings.HasPrefix(key, sparseRecord) {
			return fmt.Errorf("sets %q for all that follows, which is not supported: make the tarball without global headers", key)
		}
	}
	return nil
}

// sparseRecord begins the PAX records of sparse files.
const sparseRecord = "GNU.sparse."

// isSparse says whether the archive keeps a file's content without its holes.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, sparseRecord) {
			return true
		}
	}
	return false
}

// maxTrailer bounds what may follow the end of an archive, in bytes.
const maxTrailer = 64 << 20

// endOfTar checks that the archive has its end mark, two blocks of zeros, and
// reads the rest, so that the checksums of the compression are checked too.
// Other bytes in the rest are ignored, as by any tar, but not a second archive.
func endOfTar(in *input) error {
	if in.zeros < 2 {
		return fmt.Errorf("the tarball ends without its end mark: it is truncated; make it again: %w", io.ErrUnexpectedEOF)
	}
	var rest trailer
	n, err := io.Copy(&rest, io.LimitReader(in.buf, maxTrailer))
	switch {
	case err != nil:
		return fmt.Errorf("after its end: %w", err)
	case n == maxTrailer:
		return fmt.Errorf("more than %s follow the tarball's end", bytesize.Exact(maxTrailer))
	case rest.isTar():
		return errors.New("a second tarball follows the end of the first: unpack it with tar --ignore-zeros, and make one of it")
	}
	return nil
}

// trailer collects one block of what follows an archive, from the first byte
// that is not zero.
type trailer []byte

func (r *trailer) Write(p []byte) (int, error) {
	text := p
	if len(*r) == 0 {
		text = bytes.TrimLeft(p, "\x00")
	}
	*r = append(*r, text[:min(len(text), blockSize-len(*r))]...)
	return len(p), nil
}

func (r trailer) isTar() bool {
	return len(r) == blockSize && bytes.HasPrefix(magicField.of(r), []byte("ustar"))
}

// cursor finds the contents of files by their offsets, which must ascend.
type cursor struct {
	in      *input
	archive *tar.Reader
}

func newCursor(in *input) *cursor { return &cursor{in: in, archive: tar.NewReader(in)} }

// content moves on to the file whose header begins at an offset, and checks its
// size. The archive then reads its content, until the next call.
func (c *cursor) content(at, size int64) (*tar.Header, error) {
	for {
		c.in.mark()
		h, err := c.archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errChanged
		case err != nil:
			return nil, err
		case c.in.start == at && h.Size == size:
			return h, nil
		case c.in.start >= at:
			return nil, errChanged
		}
	}
}
