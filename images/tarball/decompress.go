package tarball

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxWindow bounds the memory that a zstd or xz stream may ask for to be
// unpacked, in bytes: that of "zstd --long=27", and twice that of "xz -9".
const maxWindow = 128 << 20

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

// Decompress reads what r holds, whether it is plain or compressed with gzip,
// zstd, xz or bzip2: the first bytes tell. The caller closes what it gets.
func Decompress(r io.Reader) (io.ReadCloser, error) { return decompress(r) }

// decompress reads what r holds, whatever it is compressed with: the first
// bytes tell. What is compressed twice is refused, and so is what is known to
// be something other than a tarball. The caller closes what it gets.
func decompress(r io.Reader) (io.ReadCloser, error) {
	packed := bufio.NewReaderSize(r, headSize)
	outer, err := recognise(packed.Peek)
	if err != nil {
		return nil, err
	}
	if outer == "" {
		return io.NopCloser(packed), nil
	}
	unpack, err := decompressor(outer, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", outer, err)
	}
	plain := bufio.NewReaderSize(unpack, headSize)
	inner, err := recognise(plain.Peek)
	if err == nil && inner != "" {
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

// decompressor unpacks what r reads. Zeros may follow the compressed data:
// media and some tools pad files to whole blocks.
func decompressor(compression string, r *bufio.Reader) (io.ReadCloser, error) {
	switch compression {
	case "gzip":
		z, err := newGzipMembers(r)
		return io.NopCloser(z), err
	case "zstd":
		return newZstd(r)
	case "xz":
		x, err := xz.NewReader(r, maxWindow)
		if err != nil {
			return nil, explainXZ(err)
		}
		return io.NopCloser(&explained{x, explainXZ}), nil
	}
	return io.NopCloser(newBzip2(r)), nil
}

// explained says of some errors what a person can do.
type explained struct {
	r       io.Reader
	explain func(error) error
}

func (x *explained) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = x.explain(err)
	}
	return n, err
}

func explainXZ(err error) error {
	switch {
	case errors.Is(err, xz.ErrMemlimit):
		return fmt.Errorf("its dictionary is larger than 128 MiB: unpack it with \"xz -d\" first: %w", err)
	case errors.Is(err, xz.ErrOptions):
		return fmt.Errorf("it has an xz filter that is not supported: unpack it with \"xz -d\" first: %w", err)
	case errors.Is(err, xz.ErrBuf):
		return fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
	}
	return err
}

func explainZstd(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("its window is larger than the 128 MiB of --long=27: unpack it with \"zstd -d --long=31\" first: %w", err)
	}
	return err
}
