package pack

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// encoderKind is what encoders of the same kind have in common.
type encoderKind struct {
	level   zstd.EncoderLevel
	workers int
	crc     bool
}

// encoders has encoders that are used again, by their kind: one takes megabytes,
// and many a pack has a few hundred bytes. What an encoder makes does not depend on
// what it made before.
var encoders sync.Map // encoderKind: *sync.Pool

// borrowEncoder returns an encoder that writes to w, which may be nil, and a
// function that gives it back.
func borrowEncoder(w io.Writer, kind encoderKind) (*zstd.Encoder, func(), error) {
	kept, _ := encoders.LoadOrStore(kind, &sync.Pool{})
	pool := kept.(*sync.Pool)
	if enc, ok := pool.Get().(*zstd.Encoder); ok {
		enc.Reset(w)
		return enc, func() { pool.Put(enc) }, nil
	}
	enc, err := zstd.NewWriter(w, zstd.WithEncoderLevel(kind.level), zstd.WithEncoderConcurrency(kind.workers), zstd.WithEncoderCRC(kind.crc))
	if err != nil {
		return nil, nil, fmt.Errorf("compress: %w", err)
	}
	return enc, func() { pool.Put(enc) }, nil
}
