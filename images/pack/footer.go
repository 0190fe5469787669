package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The end of a pack, as zstd:chunked defines it: a skippable frame with five
// little-endian words of 64 bits. They are the table's offset, its compressed
// length, its uncompressed length, its type (1 means JSON), and a magic number.
const (
	skipHeader   = 8 // magic number and length of a skippable frame (RFC 8878, 3.1.2)
	footerSize   = 40
	footerFrame  = skipHeader + footerSize
	tocTypeJSON  = 1
	skippable    = 0x184D2A50
	chunkedMagic = "GnUlInUx"
)

// errNotPack is returned for data that is not a pack.
var errNotPack = errors.New("not a pack, or truncated: it does not end with a zstd:chunked footer")

// footer says where the table of contents is.
type footer struct {
	off    int64 // of the compressed table itself, after its frame's header
	packed int64 // its length
	raw    int64 // its length decompressed
}

// appendSkippable appends the header of a skippable frame of n bytes.
func appendSkippable(b []byte, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, skippable)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// encode returns the footer, including the header of its frame.
func (f footer) encode() []byte {
	b := appendSkippable(nil, footerSize)
	for _, v := range []int64{f.off, f.packed, f.raw, tocTypeJSON} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return append(b, chunkedMagic...)
}

// parseFooter parses the last footerFrame bytes of a pack with size bytes.
func parseFooter(b []byte, size int64) (footer, error) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[skipHeader+8*i:]) }
	if len(b) != footerFrame || string(b[skipHeader+32:]) != chunkedMagic ||
		binary.LittleEndian.Uint32(b) != skippable || binary.LittleEndian.Uint32(b[4:]) != footerSize {
		return footer{}, errNotPack
	}
	if t := word(3); t != tocTypeJSON {
		return footer{}, fmt.Errorf("table of contents has type %d, not %d: made by another tool", t, tocTypeJSON)
	}
	for i := range 3 {
		if word(i) > uint64(size)+maxTOC {
			return footer{}, fmt.Errorf("footer's word %d is out of bounds: %d", i, word(i))
		}
	}
	f := footer{off: int64(word(0)), packed: int64(word(1)), raw: int64(word(2))}
	if f.off < skipHeader || f.packed <= 0 || f.off+f.packed != size-footerFrame {
		return footer{}, fmt.Errorf("table of contents at %d+%d does not end at the footer of a pack of %d bytes", f.off, f.packed, size)
	}
	if f.packed > maxTOC || f.raw <= 0 || f.raw > maxTOC {
		return footer{}, fmt.Errorf("table of contents of %d bytes (%d packed) is over the limit of %d", f.raw, f.packed, maxTOC)
	}
	return f, nil
}
