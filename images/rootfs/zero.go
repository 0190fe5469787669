package rootfs

import "bytes"

// BlockSize is the unit of holes in a file, in bytes. It is the block size of
// every filesystem that this program makes.
const BlockSize = 4096

var zeroBlock [BlockSize]byte

// IsZero reports whether b consists of zeros only. It stops at the first block
// that does not.
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

// dataRuns yields the parts of b that are not holes, as offsets in b. b must
// begin at a block boundary.
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
