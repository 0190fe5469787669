package images

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

// decompress reads what r holds, whatever it is compressed with: the first
// bytes tell. The caller closes what it gets.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	magic, err := buffered.Peek(6)
	if err != nil && len(magic) == 0 {
		return nil, fmt.Errorf("it is empty: %w", io.ErrUnexpectedEOF)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), bytes.HasPrefix(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		d, err := zstd.NewReader(buffered, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		x, err := newXZ(buffered)
		return io.NopCloser(x), err
	case bytes.HasPrefix(magic, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(buffered)), nil
	}
	return io.NopCloser(buffered), nil
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
