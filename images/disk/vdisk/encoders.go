package vdisk

import (
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// level is the middle way of deflate.
const level = 6

// appender is a slice that is written to.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// deflater is what flate's and zlib's writers have in common.
type deflater interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encodeAll returns an encoder that makes of each source a stream of its own,
// which finish ends.
func encodeAll(d deflater, finish func() error) encoder {
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

// zlibEncoder makes zlib streams (RFC 1950), as VMDK has them.
func zlibEncoder() (encoder, error) {
	w, err := zlib.NewWriterLevel(nil, level)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Close), nil
}

// shortEncoder makes deflate streams (RFC 1951) that need a window of 4 KiB to
// be read, which is all that a reader of qcow2 has.
func shortEncoder() (encoder, error) {
	w, err := flate.NewWriterWindow(nil, 4*kib)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Close), nil
}

// partEncoder makes parts of one deflate stream, which whoever puts them one
// behind the other has to end.
func partEncoder() (encoder, error) {
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		return nil, err
	}
	return encodeAll(w, w.Flush), nil
}

// zstdEncoder makes frames without a checksum: qemu reads no further than to
// the last byte of content, and takes what is left for an error. Within 64 KiB
// the slower levels gain next to nothing.
func zstdEncoder() (encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(qcow2Cluster))
	if err != nil {
		return nil, err
	}
	return func(dst, src []byte) ([]byte, error) { return enc.EncodeAll(src, dst), nil }, nil
}
