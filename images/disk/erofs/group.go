package erofs

import (
	"iter"

	"cloudlets/images/disk/sparse"
)

// groupSize is about how many bytes of inodes and contents are held in memory
// until they are written.
const groupSize = 1 << 20

// group gives inodes their places, the same in both walks.
type group struct {
	start int64 // of the group, in bytes: a multiple of a block
	meta  int64 // what its inodes take
	data  int64 // blocks of its contents, which come after them
}

// place gives an inode its place.
func (g *group) place(s shape) (at int64) {
	at = roundUp(g.meta, slotSize)
	if end := at + int64(s.head+s.after); s.layout == inlineLayout && (at+int64(s.head))/blockSize != (end-1)/blockSize {
		at = roundUp(at, blockSize)
	}
	g.meta = at + int64(s.head+s.after)
	g.data += s.blocks
	return g.start + at
}

// take is place, and then the next group where this one is complete.
func (g *group) take(s shape) (at int64) {
	at = g.place(s)
	if g.complete(s) {
		g.close()
	}
	return at
}

// complete says whether the inode that was placed last is the group's last.
func (g *group) complete(s shape) bool { return s.large || g.meta+g.data*blockSize >= groupSize }

// contents is where the group's contents begin, in bytes.
func (g *group) contents() int64 { return g.start + roundUp(g.meta, blockSize) }

// close goes on to the next group.
func (g *group) close() { *g = group{start: g.contents() + g.data*blockSize} }

// chunk is a part of a file that is there as a whole, or not at all.
type chunk struct {
	sparse.Extent
	hole bool
}

// eachChunk lists the chunks of a file that has data in some places.
func eachChunk(size int64, bits int, data []sparse.Extent) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		length := int64(blockSize) << bits
		for at := int64(0); at < size; at += length {
			c := chunk{Extent: sparse.Extent{Offset: at, Length: min(length, size-at)}}
			for len(data) > 0 && data[0].End() <= at {
				data = data[1:]
			}
			c.hole = len(data) == 0 || data[0].Offset >= c.End()
			if !yield(c) {
				return
			}
		}
	}
}
