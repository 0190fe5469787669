package ext4

import (
	"errors"
	"io"

	"cloudlets/images/disk/sparse"
)

// leastSparse is the size in bytes from which on a file is searched for
// holes: smaller ones are not worth reading twice.
const leastSparse = 1 << 20

// segments are a file's parts that are not zero, in blocks.
func segments(data []sparse.Extent) []segment {
	list := make([]segment, len(data))
	for i, x := range data {
		list[i] = segment{x.Offset / blockSize, ceilDiv(x.Length, blockSize)}
	}
	return list
}

// noEOF keeps an early end from looking like an ordinary one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
