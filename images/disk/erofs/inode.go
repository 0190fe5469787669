package erofs

import (
	"encoding/binary"

	"cloudlets/images"
)

// inodeSize is the length of an extended inode.
const inodeSize = 64

// How an inode's content is kept (the format's data layouts).
const (
	plainLayout  = 0 // in blocks
	inlineLayout = 2 // in blocks, and the end after the inode
	chunkLayout  = 4 // in chunks, each of which may be a hole
)

// noBlock stands for a hole.
const noBlock = 1<<32 - 1

// shape is what room an inode and its content take.
type shape struct {
	layout uint8
	head   int // inode and attributes, in bytes
	// after are the bytes right after that: the content's end, or the numbers
	// of its chunks.
	after  int
	blocks int64
	// chunkBits is the size of a chunk, in blocks, as a power of 2.
	chunkBits int
	large     bool // it is streamed, and the last of its group
}

const (
	// largeFile is the size in bytes from which on a file is not held in
	// memory.
	largeFile = 256 << 10
	// leastSparse is that from which on it is searched for holes.
	leastSparse = 1 << 20
	// leastChunkBits make chunks of the least hole's size, and maxChunks is
	// how many are listed before they are made larger.
	leastChunkBits = 4
	maxChunks      = 1 << 16
)

// shapeOf is the shape of a content of which the end may lie with the inode.
func shapeOf(size int64, xattrs int) shape {
	s := shape{layout: plainLayout, head: inodeSize + xattrs, blocks: blocks(size)}
	// What lies with the inode must not go over a block's end.
	if end := int(size % blockSize); end > 0 && s.head+end <= blockSize && size < largeFile {
		s.layout, s.after, s.blocks = inlineLayout, end, size/blockSize
	}
	return s
}

// shape is the shape of whatever is no directory.
func (t *tree) shape(e images.Entry, number uint32, xattrs int) shape {
	s := shapeOf(contentSize(e), xattrs)
	s.large = e.Type == images.Regular && e.Size >= largeFile
	data, ok := t.data[number]
	if !ok {
		return s
	}
	s.layout, s.blocks, s.chunkBits = chunkLayout, 0, leastChunkBits
	for e.Size>>s.chunkBits/blockSize >= maxChunks {
		s.chunkBits++
	}
	for c := range eachChunk(e.Size, s.chunkBits, data) {
		s.after += 4
		if !c.hole {
			s.blocks += blocks(c.Length)
		}
	}
	return s
}

// contentSize is the length of what a file holds; devices hold nothing.
func contentSize(e images.Entry) int64 {
	switch e.Type {
	case images.Regular:
		return e.Size
	case images.Symlink:
		return int64(len(e.Link))
	}
	return 0
}

// encode makes an inode, with its attributes. What where is: the block where
// its content begins, a device's number, the size of its chunks.
func encode(e images.Entry, n *inode, number uint32, s shape, size int64, what uint32, xattrs []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, inodeSize, inodeSize+len(xattrs))
	le.PutUint16(b[0:], 1|uint16(s.layout)<<1) // 1: extended
	le.PutUint16(b[2:], xattrCount(len(xattrs)))
	le.PutUint16(b[4:], fileType(e.Type)|uint16(e.Mode&0o7777))
	le.PutUint64(b[8:], uint64(size))
	le.PutUint32(b[16:], what)
	le.PutUint32(b[20:], number)
	le.PutUint32(b[24:], e.UID)
	le.PutUint32(b[28:], e.GID)
	le.PutUint64(b[32:], uint64(e.ModTime.Unix()))
	le.PutUint32(b[40:], uint32(e.ModTime.Nanosecond()))
	le.PutUint32(b[44:], n.links)
	return append(b, xattrs...)
}

// deviceNumber is as the kernel's new_encode_dev makes it.
func deviceNumber(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// fileType is the type in an inode's mode.
func fileType(t images.Type) uint16 {
	switch t {
	case images.Directory:
		return 0o040000
	case images.CharDevice:
		return 0o020000
	case images.BlockDevice:
		return 0o060000
	case images.FIFO:
		return 0o010000
	case images.Symlink:
		return 0o120000
	}
	return 0o100000
}
