// Package sparse passes a disk's content from the code that makes it to the code
// that stores it. The content goes from beginning to end, and runs of zeros are
// skipped rather than written.
//
// Filesystems are written to a [Writer]. A raw file, a stream and every virtual
// disk format implement it.
package sparse

import (
	"errors"
	"fmt"
	"io"
)

// BlockSize is the size in bytes of the blocks in which zeros are skipped. It is
// the block size of common filesystems, which store holes in whole blocks.
const BlockSize = 4096

// Writer takes a disk's content in ascending order of offset.
type Writer interface {
	io.Writer
	// Skip advances by n bytes of zeros. n must not be negative.
	Skip(n int64) error
}

// ErrNegative is returned if a caller tries to skip backwards.
var ErrNegative = errors.New("skip a negative number of bytes")

// checkSkip returns an error if n is negative.
func checkSkip(n int64) error {
	if n < 0 {
		return fmt.Errorf("%w: %d", ErrNegative, n)
	}
	return nil
}
