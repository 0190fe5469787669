package erofs

import (
	"encoding/binary"
	"errors"
	"io"
)

// rawBit marks an extent in its encoded length whose block is not compressed.
const rawBit = 1 << 31

// extents are the parts of a compressed file, each of which is stored in a block
// of its own. Each has 4 bytes: the length of its data, and rawBit.
type extents []byte

func (x extents) count() int { return len(x) / 4 }

func (x extents) at(i int) (length int64, raw bool) {
	v := binary.LittleEndian.Uint32(x[4*i:])
	return int64(v &^ rawBit), v&rawBit != 0
}

// press compresses a segment of a file. It appends to dst the number of extents
// (4 bytes), the extents, and their blocks.
func (z *compressor) press(dst, src []byte) []byte {
	z.begin()
	var list extents
	at := len(dst)
	// A block has more than blockSize bytes of data, or else is the last one or raw.
	most := (len(src) + blockSize - 1) / blockSize
	dst = append(dst, make([]byte, 4+4*most)...)
	for start := 0; start < len(src); {
		end, packed := start, []byte(nil)
		if len(src)-start > blockSize {
			end, packed = z.block(src[start:])
			end += start
		}
		length := uint32(end - start)
		if length <= blockSize {
			end = min(start+blockSize, len(src))
			packed, length = nil, uint32(end-start)|rawBit
		}
		list = binary.LittleEndian.AppendUint32(list, length)
		if packed == nil {
			dst = append(append(dst, src[start:end]...), zeros[end-start:]...)
		} else { // "0padding": zeros come first
			dst = append(append(dst, zeros[len(packed):]...), packed...)
		}
		start = end
	}
	// Blocks follow the extents without a gap.
	binary.LittleEndian.PutUint32(dst[at:], uint32(list.count()))
	copy(dst[at+4:], list)
	return append(dst[:at+4+len(list)], dst[at+4+4*most:]...)
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
// fs/erofs/erofs_fs.h). It begins at a multiple of 8 bytes, after a header of zeros,
// which means LZ4 and blocks of 4 KiB. Every Linux with EROFS reads this form.
const (
	indexHead  = 16
	indexEntry = 8
	// The types of an entry: an extent begins in it, which is raw or compressed, or
	// none does.
	rawHead, lz4Head, noHead = 0, 1, 2
)

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
func (s shape) index(size, data int64, list extents) ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, s.after)
	entries := b[-s.head&(indexEntry-1)+indexHead:]
	at := int64(0)
	for i := range list.count() {
		length, raw := list.at(i)
		first, next := at/blockSize, (at+length)/blockSize
		if length == 0 || at+length > size {
			return nil, errExtents
		}
		head := entries[first*indexEntry:]
		if !raw {
			le.PutUint16(head, lz4Head)
		}
		le.PutUint16(head[2:], uint16(at%blockSize))
		le.PutUint32(head[4:], blockOf(data)+uint32(i))
		for n := first + 1; n < next; n++ {
			e := entries[n*indexEntry:]
			le.PutUint16(e, noHead)
			le.PutUint16(e[4:], uint16(n-first))
			le.PutUint16(e[6:], uint16(next-n))
		}
		if at += length; next > first {
			// This is the next head, or else the end of the file.
			le.PutUint16(entries[next*indexEntry+2:], uint16(at%blockSize))
		}
	}
	if at != size {
		return nil, errExtents
	}
	return b, nil
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
	return m.shape.index(m.entry.Size, data, list)
}
