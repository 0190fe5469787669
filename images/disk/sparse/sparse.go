// Package sparse is how a disk's content travels from who makes it to who
// keeps it: from beginning to end, with the zeros told rather than sent.
//
// Filesystem writers produce a [Writer]; a raw file, a stream and every
// virtual disk format are one.
package sparse

import (
	"errors"
	"fmt"
	"io"
)

// BlockSize is the granularity, in bytes, at which zeros are worth skipping:
// the block of the filesystems that images are kept on.
const BlockSize = 4096

// Writer takes a disk's content in ascending order of offset.
type Writer interface {
	io.Writer
	// Skip goes n bytes further, n ≥ 0, over bytes that are zero.
	Skip(n int64) error
}

// ErrNegative says that a caller wanted to skip backwards.
var ErrNegative = errors.New("skip a negative number of bytes")

// checkSkip refuses what would go backwards.
func checkSkip(n int64) error {
	if n < 0 {
		return fmt.Errorf("%w: %d", ErrNegative, n)
	}
	return nil
}
