package erofs

import (
	"encoding/binary"

	"cloudlets/images"
)

// inodeSize is the length in bytes of an extended inode.
const inodeSize = 64

// How an inode's content is stored (the format's data layouts).
const (
	plainLayout   = 0 // in blocks
	pressedLayout = 1 // in compressed blocks, whose index follows the inode
	inlineLayout  = 2 // in blocks, except for its end, which follows the inode
	chunkLayout   = 4 // in chunks, each of which may be a hole
)

// noBlock is the block number of a hole.
const noBlock = 1<<32 - 1

// shape says how much room an inode and its content take.
type shape struct {
	layout uint8
	head   int // length of the inode and its attributes in bytes
	// after is the length in bytes of what follows them: the end of the
	// content, the block numbers of its chunks, or the index of its compressed blocks.
	after  int
	blocks int64
	// chunkBits means that a chunk has 1<<chunkBits blocks.
	chunkBits int
	large     bool // its content is streamed, and it is the last of its group
}

const (
	// largeFile is the size in bytes of the smallest file that is streamed
	// rather than held in memory.
	largeFile = 256 << 10
	// leastSparse is the size in bytes of the smallest file that is searched for
	// holes.
	leastSparse = 1 << 20
	// leastChunkBits makes a chunk as large as the smallest hole. If a file would
	// have more than about maxChunks chunks, they are made larger.
	leastChunkBits = 4
	maxChunks      = 1 << 16
)

// shapeOf returns the shape of an inode with a content of size bytes and xattrs
// bytes of attributes. The end of the content follows the inode if it fits.
func shapeOf(size int64, xattrs int) shape {
	s := shape{layout: plainLayout, head: inodeSize + xattrs, blocks: blocks(size)}
	// The inode and the end of the content must fit into one block.
	if end := int(size % blockSize); end > 0 && s.head+end <= blockSize && size < largeFile {
		s.layout, s.after, s.blocks = inlineLayout, end, size/blockSize
	}
	return s
}

// shape returns the shape of an inode that is not a directory's.
func (t *tree) shape(e images.Entry, number uint32, xattrs int) shape {
	if n := t.node(number); n.pressed > 0 {
		return pressedShape(e.Size, xattrs, n.pressed)
	}
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

// contentSize returns the length of a file's content in bytes. Only regular
// files and symbolic links have content.
func contentSize(e images.Entry) int64 {
	switch e.Type {
	case images.Regular:
		return e.Size
	case images.Symlink:
		return int64(len(e.Link))
	}
	return 0
}

// encode returns an inode followed by its attributes. What is, depending on the
// inode, the first block of its content, the number of its compressed blocks, a
// device number, or the chunkBits of its shape.
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

// deviceNumber encodes a device number like the kernel's new_encode_dev.
func deviceNumber(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// fileType returns the type bits of an inode's mode.
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
