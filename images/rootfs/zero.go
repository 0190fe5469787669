package rootfs

import "bytes"

// BlockSize is what a hole in a file is counted in, in bytes: the block of
// every filesystem that we make.
const BlockSize = 4096

var zeroBlock [BlockSize]byte

// IsZero tells whether b is all zeros. It reads no further than the first
// block that is not.
func IsZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), BlockSize)
		if !bytes.Equal(b[:n], zeroBlock[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// dataRuns yields the parts of b that are not holes, as offsets in b. b begins
// on a block's border.
func dataRuns(b []byte) func(func(from, to int) bool) {
	return func(yield func(int, int) bool) {
		for at := 0; at < len(b); {
			from := at
			for from < len(b) && IsZero(b[from:min(from+BlockSize, len(b))]) {
				from += BlockSize
			}
			to := from
			for to < len(b) && !IsZero(b[to:min(to+BlockSize, len(b))]) {
				to += BlockSize
			}
			from, to = min(from, len(b)), min(to, len(b))
			if from < to && !yield(from, to) {
				return
			}
			at = to
		}
	}
}
