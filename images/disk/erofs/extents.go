package erofs

import (
	"encoding/binary"
	"errors"
	"io"
)

// rawBit marks an extent in its encoded length that is not compressed.
const rawBit = 1 << 31

// extents are the parts of a compressed file. There are 4 bytes for each block of
// its compressed form: in the first block of an extent the length of its data, and
// rawBit, and in its other blocks 0. An extent that is not compressed has one block.
type extents []byte

// count returns the number of blocks.
func (x extents) count() int { return len(x) / 4 }

func (x extents) at(i int) (length int64, raw bool) {
	v := binary.LittleEndian.Uint32(x[4*i:])
	return int64(v &^ rawBit), v&rawBit != 0
}

// end returns the number of the block after the extent that begins in block i.
func (x extents) end(i int) int {
	for i++; i < x.count(); i++ {
		if length, _ := x.at(i); length > 0 {
			break
		}
	}
	return i
}

// packer compresses data into extents.
type packer interface {
	// begin forgets what other data looked like.
	begin()
	// pack compresses the first extent of src, which is not empty. It returns the
	// length of its data and its compressed form, which is valid until the next call. Data
	// without a compressed form takes as many blocks as it has, the last of which is
	// full unless it is the last of src. Other data has more than the blocks of its
	// compressed form.
	pack(src []byte) (length int, packed []byte)
}

// press compresses a segment of a file. It appends to dst the number of blocks
// (4 bytes), the extents, and the blocks.
func press(z packer, dst, src []byte) []byte {
	z.begin()
	var list extents
	at, most := len(dst), int(blocks(int64(len(src))))
	dst = append(dst, make([]byte, 4+4*most)...)
	for len(src) > 0 {
		length, packed := z.pack(src)
		if packed == nil {
			list, dst = appendRaw(list, dst, src[:length])
		} else {
			list, dst = appendPacked(list, dst, length, packed)
		}
		src = src[length:]
	}
	// Blocks follow the extents without a gap.
	binary.LittleEndian.PutUint32(dst[at:], uint32(list.count()))
	copy(dst[at+4:], list)
	return append(dst[:at+4+len(list)], dst[at+4+4*most:]...)
}

// appendRaw appends an extent for each block of data.
func appendRaw(list extents, dst, data []byte) (extents, []byte) {
	for len(data) > 0 {
		n := min(len(data), blockSize)
		list = binary.LittleEndian.AppendUint32(list, uint32(n)|rawBit)
		dst = append(append(dst, data[:n]...), zeros[n:]...)
		data = data[n:]
	}
	return list, dst
}

// appendPacked appends a compressed extent. Zeros come first ("0padding").
func appendPacked(list extents, dst []byte, length int, packed []byte) (extents, []byte) {
	n := int(blocks(int64(len(packed))))
	list = binary.LittleEndian.AppendUint32(list, uint32(length))
	list = append(list, make([]byte, 4*(n-1))...)
	return list, append(append(dst, zeros[:n*blockSize-len(packed)]...), packed...)
}

var zeros [blockSize]byte

// pressed splits off what press appended for a segment.
func pressed(b []byte) (list extents, blocks, rest []byte) {
	n := 4 + 4*int(binary.LittleEndian.Uint32(b))
	list = b[4:n]
	end := n + list.count()*blockSize
	return list, b[n:end], b[end:]
}

// The index of a compressed file has an entry for each blockSize bytes of data
// ("logical cluster"), and one for the file's end (z_erofs_lcluster_index in
// fs/erofs/erofs_fs.h). It begins at a multiple of 8 bytes, after a header. A header
// of zeros means LZ4 and extents of one block. Every Linux with EROFS reads this form.
const (
	indexHead  = 16
	indexEntry = 8
	// The types of an entry: an extent begins in it, which is raw or compressed, or
	// none does.
	rawHead, pressedHead, noHead = 0, 1, 2
	// hasBlocks marks the distance to the head in the entry right after that. It
	// counts the extent's blocks instead, where the header says bigExtents.
	hasBlocks = 1 << 11
	// bigExtents says that extents may have several blocks.
	bigExtents = 1 << 1
	// zstdFormat is the number of zstd among the algorithms.
	zstdFormat = 3
)

// putIndexHead writes the header of an index.
func (c Compression) putIndexHead(b []byte) {
	if c == ZSTD {
		binary.LittleEndian.PutUint16(b[4:], bigExtents)
		b[6] = zstdFormat
	}
}

// pressedShape returns the shape of a compressed file whose extents have a number
// of blocks.
func pressedShape(size int64, xattrs int, blocks uint32) shape {
	s := shape{layout: pressedLayout, head: inodeSize + xattrs, blocks: int64(blocks)}
	s.after = -s.head&(indexEntry-1) + indexHead + int(size/blockSize+1)*indexEntry
	return s
}

var errExtents = errors.New("the temporary file with its compressed form is damaged")

// index returns what follows the inode of a compressed file. Its first block is
// stored at offset data.
func (s shape) index(size, data int64, list extents, how Compression) ([]byte, error) {
	b := make([]byte, s.after)
	head := b[-s.head&(indexEntry-1):]
	how.putIndexHead(head)
	at, block := int64(0), blockOf(data)
	for i := 0; i < list.count(); i = list.end(i) {
		length, raw := list.at(i)
		if length == 0 || at+length > size {
			return nil, errExtents
		}
		e := extent{at, length, block + uint32(i), list.end(i) - i, raw}
		e.putEntries(head[indexHead:], how)
		at += length
	}
	if at != size {
		return nil, errExtents
	}
	return b, nil
}

// extent is a part of a file that is stored by itself.
type extent struct {
	at, length int64
	block      uint32 // the first one
	blocks     int
	raw        bool
}

// putEntries writes the entries of an index that an extent has.
func (x extent) putEntries(entries []byte, how Compression) {
	le := binary.LittleEndian
	first, next := x.at/blockSize, (x.at+x.length)/blockSize
	head := entries[first*indexEntry:]
	if !x.raw {
		le.PutUint16(head, pressedHead)
	}
	le.PutUint16(head[2:], uint16(x.at%blockSize))
	le.PutUint32(head[4:], x.block)
	for n := first + 1; n < next; n++ {
		e := entries[n*indexEntry:]
		le.PutUint16(e, noHead)
		le.PutUint16(e[4:], uint16(n-first))
		le.PutUint16(e[6:], uint16(next-n))
		if n == first+1 && how == ZSTD {
			le.PutUint16(e[4:], uint16(x.blocks)|hasBlocks)
		}
	}
	if next > first {
		// This is the next head, or else the end of the file.
		le.PutUint16(entries[next*indexEntry+2:], uint16((x.at+x.length)%blockSize))
	}
}

// pressedContents copies a compressed file's blocks from the temporary file.
func (e *emitter) pressedContents(m *member) error {
	return e.pieces(io.NewSectionReader(e.spool, m.spooled, m.shape.blocks*blockSize), m.shape.blocks*blockSize, e.write)
}

// pressedIndex returns a compressed file's index.
func (e *emitter) pressedIndex(m *member, data int64) ([]byte, error) {
	list := make(extents, 4*m.shape.blocks)
	if _, err := e.spool.ReadAt(list, m.spooled+m.shape.blocks*blockSize); err != nil {
		return nil, err
	}
	return m.shape.index(m.entry.Size, data, list, e.opts.Compression)
}
