package ext4

import (
	"cloudlets/images/disk/sparse"
)

// leastSparse is the size in bytes from which on a file is searched for holes. For
// smaller files reading twice is not worth it.
const leastSparse = 1 << 20

// segments converts a file's parts with data to blocks.
func segments(data []sparse.Extent) []segment {
	list := make([]segment, len(data))
	for i, x := range data {
		list[i] = segment{x.Offset / blockSize, ceilDiv(x.Length, blockSize)}
	}
	return list
}
