package pack

import (
	"bytes"
	"crypto/sha256"
	"sync"
)

// blockSize is what a hole in a file is counted in, in bytes: the block of
// every filesystem that we make.
const blockSize = 4096

var zeroBlock [blockSize]byte

// isZero tells whether b is all zeros. It reads no further than the first
// block that is not.
func isZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), blockSize)
		if !bytes.Equal(b[:n], zeroBlock[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// zeroFrame is the digest of a chunk of FrameSize zeros, of which a sparse
// file has thousands.
var zeroFrame = sync.OnceValue(func() digest {
	return sha256.Sum256(make([]byte, FrameSize))
})

// sumOf is the digest of b.
func sumOf(b []byte) digest {
	if len(b) == FrameSize && isZero(b) {
		return zeroFrame()
	}
	return sha256.Sum256(b)
}

// dataRuns yields the parts of b that are not holes, as offsets in b. b begins
// on a block's border.
func dataRuns(b []byte) func(func(from, to int) bool) {
	return func(yield func(int, int) bool) {
		for at := 0; at < len(b); {
			from := at
			for from < len(b) && isZero(b[from:min(from+blockSize, len(b))]) {
				from += blockSize
			}
			to := from
			for to < len(b) && !isZero(b[to:min(to+blockSize, len(b))]) {
				to += blockSize
			}
			from, to = min(from, len(b)), min(to, len(b))
			if from < to && !yield(from, to) {
				return
			}
			at = to
		}
	}
}
