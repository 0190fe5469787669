package erofs

import (
	"iter"

	"cloudlets/images/disk/sparse"
)

// groupSize is roughly how many bytes of inodes and contents are held in memory
// until they are written.
const groupSize = 1 << 20

// group assigns offsets to inodes, in the same way in both walks.
type group struct {
	start int64 // offset of the group in bytes, a multiple of blockSize
	meta  int64 // bytes of its inodes and of what lies right after each of them
	data  int64 // number of blocks of its contents, which come after the inodes
}

// place assigns an offset in bytes to an inode. The part of the content that lies
// right after the inode must not cross the end of a block.
func (g *group) place(s shape) (at int64) {
	at = roundUp(g.meta, slotSize)
	if end := at + int64(s.head+s.after); s.layout == inlineLayout && (at+int64(s.head))/blockSize != (end-1)/blockSize {
		at = roundUp(at, blockSize)
	}
	g.meta = at + int64(s.head+s.after)
	g.data += s.blocks
	return g.start + at
}

// take is like place, but then begins the next group if this one is complete.
func (g *group) take(s shape) (at int64) {
	at = g.place(s)
	if g.complete(s) {
		g.close()
	}
	return at
}

// complete reports whether the inode that was placed last, with shape s, is the
// last one of the group.
func (g *group) complete(s shape) bool { return s.large || g.meta+g.data*blockSize >= groupSize }

// contents returns the offset in bytes of the group's contents.
func (g *group) contents() int64 { return g.start + roundUp(g.meta, blockSize) }

// close ends the group and begins the next one.
func (g *group) close() { *g = group{start: g.contents() + g.data*blockSize} }

// chunk is a part of a file that is either stored as a whole or a hole.
type chunk struct {
	sparse.Extent
	hole bool
}

// eachChunk lists the chunks of a file of size bytes. A chunk has 1<<bits blocks,
// and only the last one may be shorter. Data lists the parts of the file that are
// not holes, in ascending order.
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
