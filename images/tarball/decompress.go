package tarball

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds the memory that a zstd stream may ask for to be unpacked,
// in bytes: that of "zstd --long=27".
const maxWindow = 128 << 20

// magicLen is how many bytes tell a compression.
const magicLen = 6

// compressionOf names what data that begins so is compressed with, or is "".
func compressionOf(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(magic):
		return "zstd"
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return "xz"
	case bytes.HasPrefix(magic, []byte("BZh")):
		return "bzip2"
	}
	return ""
}

// isSkippable says whether a zstd stream begins with a frame that holds no
// data (RFC 8878, section 3.1.2).
func isSkippable(magic []byte) bool {
	return len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18})
}

// decompress reads what r holds, whatever it is compressed with: the first
// bytes tell. What is compressed twice is refused. The caller closes what it
// gets.
func decompress(r io.Reader) (io.ReadCloser, error) {
	packed, magic, err := peek(r)
	if err != nil {
		return nil, err
	}
	outer := compressionOf(magic)
	if outer == "" {
		return io.NopCloser(packed), nil
	}
	unpack, err := decompressor(outer, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", outer, err)
	}
	plain, magic, err := peek(unpack)
	if inner := compressionOf(magic); err == nil && inner != "" {
		err = fmt.Errorf("it is compressed twice, with %s within %s: unpack it once by hand", inner, outer)
	}
	if err != nil {
		return nil, errors.Join(err, unpack.Close())
	}
	return &decompressed{Reader: plain, Closer: unpack}, nil
}

// decompressed reads by a buffer and closes what fills it.
type decompressed struct {
	io.Reader
	io.Closer
}

// ErrEmpty is the error for data that has no bytes, or no bytes when unpacked.
var ErrEmpty = fmt.Errorf("it is empty: %w", io.ErrUnexpectedEOF)

// peek looks at the first bytes of what r reads.
func peek(r io.Reader) (*bufio.Reader, []byte, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	magic, err := buffered.Peek(magicLen)
	if len(magic) > 0 {
		return buffered, magic, nil // the end may come early, but not yet
	}
	if errors.Is(err, io.EOF) {
		err = ErrEmpty
	}
	return nil, nil, err
}

// decompressor unpacks what r reads.
func decompressor(compression string, r io.Reader) (io.ReadCloser, error) {
	switch compression {
	case "gzip":
		return gzip.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "xz":
		x, err := newXZ(r)
		return io.NopCloser(x), err
	}
	return io.NopCloser(bzip2.NewReader(r)), nil
}

// xzReader unpacks xz and checks that the stream has its footer: the library
// takes the end of the file after a whole block for the end of the stream.
type xzReader struct {
	xz   *xz.Reader
	tail *tailReader
}

func newXZ(r io.Reader) (*xzReader, error) {
	tail := &tailReader{r: r}
	x, err := xz.NewReader(tail)
	return &xzReader{xz: x, tail: tail}, err
}

func (x *xzReader) Read(p []byte) (int, error) {
	n, err := x.xz.Read(p)
	if errors.Is(err, io.EOF) && x.tail.last != [2]byte{'Y', 'Z'} {
		return n, fmt.Errorf("the xz stream has no footer: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// tailReader remembers the last two bytes that were read, less the zeros
// that may pad them.
type tailReader struct {
	r    io.Reader
	last [2]byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	switch rest := bytes.TrimRight(p[:n], "\x00"); len(rest) {
	case 0:
	case 1:
		t.last = [2]byte{t.last[1], rest[0]}
	default:
		t.last = [2]byte(rest[len(rest)-2:])
	}
	return n, err
}
