package tarball

import (
	"archive/tar"
	"bytes"
	"cmp"
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

// readIndex reads a whole archive, skips the contents, checks it, and makes its
// index.
func readIndex(ctx context.Context, in *input, x *indexer) (*index, error) {
	archive := tar.NewReader(in)
	last := ""
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		in.mark()
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, tar.ErrHeader) && in.afterZero != nil:
			return x.finish(), endOfTar(in, last == "")
		case errors.Is(err, tar.ErrHeader) && last == "":
			return nil, fmt.Errorf("it is not a tarball, or its beginning is damaged: %w", err)
		case err != nil:
			return nil, fmt.Errorf("after %s: %w", cmp.Or(last, "its start"), err)
		}
		if err := x.header(in, h, archive); err != nil {
			return nil, fmt.Errorf("entry %q: %w", h.Name, err)
		}
		last = cmp.Or(h.Name, "an entry without a name")
	}
}

// header adds one entry of the archive.
func (x *indexer) header(in *input, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return checkGlobal(h)
	case volumeLabel:
		return nil
	case solarisACL:
		return x.readSolarisACL(content)
	}
	at := in.start
	x.giveSolarisACL(h)
	e, err := entryOf(h, &x.remarks)
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

// recordSize is how many bytes most tools write at once. The last record may
// have bytes in it that were left from the one before.
const recordSize = 20 * blockSize

// endOfTar checks that the archive has its end mark, two blocks of zeros, or one
// as some old tools write. It reads the rest, so that the checksums of the
// compression are checked too. Other bytes in the rest are ignored, as by any
// tar, but not a second archive. empty says that the archive had no entry.
func endOfTar(in *input, empty bool) error {
	if in.zeros == 0 && in.afterZero == nil {
		return fmt.Errorf("the tarball ends without its end mark: it is truncated; make it again: %w", io.ErrUnexpectedEOF)
	}
	rest := trailer{first: in.afterZero}
	n, err := io.Copy(&rest, io.LimitReader(in.buf, maxTrailer))
	switch {
	case err != nil:
		return fmt.Errorf("what follows its end cannot be read, so it is damaged, or something was added to it: make it again: %w", err)
	case empty && (len(rest.first) > 0 || n == maxTrailer):
		return errors.New("it begins with zeros, as a tarball of nothing does, and other data follow: it is not a tarball, perhaps a filesystem or a disk; mount it and give the folder")
	case n == maxTrailer:
		return fmt.Errorf("more than %s follow the tarball's end", bytesize.Exact(maxTrailer))
	case rest.isTar() && !rest.isStale(in.off, n):
		return errors.New("a second tarball follows the end of the first: unpack it with tar --ignore-zeros, and make one of it")
	}
	return nil
}

// trailer collects one block of what follows an archive, from the first byte
// that is not zero.
type trailer struct {
	first []byte
	zeros int // how many bytes of zero are its last
}

func (r *trailer) Write(p []byte) (int, error) {
	text := p
	if len(r.first) == 0 {
		text = bytes.TrimLeft(p, "\x00")
	}
	r.first = append(r.first, text[:min(len(text), blockSize-len(r.first))]...)
	data := len(bytes.TrimRight(p, "\x00"))
	if data > 0 {
		r.zeros = 0
	}
	r.zeros += len(p) - data
	return len(p), nil
}

func (r *trailer) isTar() bool { return isHeader(r.first) }

// isStale says whether the trailer, of n bytes at an offset, is the end of the
// last record and has no end mark: then it was left from an earlier record in
// the buffer of the tool, as by old versions of Ant and Maven.
func (r *trailer) isStale(at, n int64) bool {
	return (at+n)%recordSize == 0 && n < recordSize && r.zeros < 2*blockSize
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
