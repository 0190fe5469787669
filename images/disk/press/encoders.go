package press

import (
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// level is deflate's default compromise between speed and size.
const level = 6

// appender is an io.Writer that appends to a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// deflater is the common interface of flate's and zlib's writers.
type deflater interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encodeAll returns an encoder that compresses each source to a separate stream. The
// function finish ends a stream.
func encodeAll(d deflater, finish func() error) Encoder {
	return func(dst, src []byte) ([]byte, error) {
		out := appender(dst)
		d.Reset(&out)
		if _, err := d.Write(src); err != nil {
			return nil, err
		}
		err := finish()
		return out, err
	}
}

// Zlib makes zlib streams (RFC 1950), which VMDK uses.
func Zlib() (Encoder, error) {
	w, err := zlib.NewWriterLevel(nil, level)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Close), nil
}

// Short makes deflate streams (RFC 1951) for a window of 4 KiB, which is the
// window of qcow2's readers.
func Short() (Encoder, error) {
	w, err := flate.NewWriterWindow(nil, 4<<10)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Close), nil
}

// partEncoder makes parts of one deflate stream. The caller concatenates the parts and
// must end the stream.
func partEncoder() (Encoder, error) {
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Flush), nil
}

// Zstd makes frames for cells of up to window bytes. They have no checksum, because qemu reads only up to the last
// byte of content and treats remaining bytes as an error. For 64 KiB the slower levels
// gain next to nothing.
func Zstd(window int) (Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	return func(dst, src []byte) ([]byte, error) { return enc.EncodeAll(src, dst), nil }, nil
}
