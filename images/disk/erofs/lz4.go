package erofs

import (
	"encoding/binary"
	"math/bits"
)

// The limits of LZ4's block format (doc/lz4_Block_format.md of github.com/lz4/lz4,
// "End of block conditions").
const (
	minMatch = 4
	// lastLiterals is how many bytes at a block's end are no part of a match, and
	// lastMatch is how many bytes before the end the last match begins at the latest.
	lastLiterals, lastMatch = 5, 12
	maxDistance             = 1<<16 - 1
)

// How hard the compressor searches.
const (
	hashBits = 13
	// depth is the largest number of earlier positions that are compared.
	depth = 8
	// goodMatch is the length in bytes of a match that is taken without looking
	// for a longer one.
	goodMatch = 32
	// missBits says how soon the search skips bytes in data without matches.
	missBits = 6
)

// lz4 compresses data into LZ4 blocks that each fill a filesystem's block. The
// usual libraries take a length of the input, and EROFS needs one of the output.
// The result depends on the data alone, although a lz4 can be used again.
type lz4 struct {
	src []byte
	// base is the position of src[0] in the whole input so far. Lower positions
	// are invalid.
	base uint32
	next int // the first byte of src whose position is not in the tables

	heads [1 << hashBits]uint32 // the latest position for a hash
	chain [1 << 16]uint16       // the distance to the one before it; 0: none
	out   [blockSize]byte
}

// begin makes src the data to compress. It has at most segmentSize bytes.
func (z *lz4) begin(src []byte) {
	z.base += uint32(len(z.src))
	if z.base == 0 || z.base >= 1<<31 {
		clear(z.heads[:])
		z.base = 1 // 0 in heads is no position
	}
	z.src, z.next = src, 0
}

// match is a repetition of earlier bytes.
type match struct{ at, length, distance int }

// block compresses from start as much as fits into a block. It returns the end of
// that part of the data, and the compressed bytes, which are valid until the next
// call.
func (z *lz4) block(start int) (end int, packed []byte) {
	n, literals, misses := 0, start, 0
	for i := start; i <= len(z.src)-lastMatch && i-literals < blockSize-n; {
		m := z.find(i, start, minMatch-1)
		if m.length == 0 {
			i += 1 + misses>>missBits
			misses++
			continue
		}
		m, misses = z.better(m, start), 0
		size := 0
		if size, m.length = fit(blockSize-n, m.at-literals, m.length); size == 0 {
			break
		}
		putSequence(z.out[n:], z.src[literals:m.at], m)
		n += size
		i = m.at + m.length
		z.insert(min(i, len(z.src)-lastMatch))
		literals = i
	}
	last := min(len(z.src)-literals, literalsIn(blockSize-n))
	n += putLiterals(z.out[n:], z.src[literals:literals+last], 0)
	return literals + last, z.out[:n]
}

// better looks for a longer match at the bytes that follow a match's first.
func (z *lz4) better(m match, start int) match {
	for m.length < goodMatch && m.at+1 <= len(z.src)-lastMatch {
		other := z.find(m.at+1, start, m.length)
		if other.length == 0 {
			break
		}
		m = other
	}
	return m
}

// find returns the longest match at i that is longer than least bytes and begins
// at start or later, and notes the position. The match's length is 0 if there is
// none.
func (z *lz4) find(i, start, least int) match {
	z.insert(i + 1)
	m := match{at: i}
	src, limit := z.src, len(z.src)-lastLiterals
	first := z.base + uint32(start)
	now := z.base + uint32(i)
	c := z.heads[hash(src[i:])]
	for range depth {
		// Positions behind i are there if an earlier block searched that far.
		if c < now {
			at := int(c - z.base)
			if c < first || i-at > maxDistance || i+least >= limit {
				break
			}
			if src[at+least] == src[i+least] && binary.LittleEndian.Uint32(src[at:]) == binary.LittleEndian.Uint32(src[i:]) {
				if n := common(src, at, i, limit); n > least {
					least, m.length, m.distance = n, n, i-at
				}
			}
		}
		back := z.chain[c&maxDistance]
		if back == 0 {
			break
		}
		c -= uint32(back)
	}
	return m
}

// insert notes all positions before end.
func (z *lz4) insert(end int) {
	for ; z.next < end; z.next++ {
		h, at := hash(z.src[z.next:]), z.base+uint32(z.next)
		back := at - z.heads[h]
		if back > maxDistance {
			back = 0
		}
		z.chain[at&maxDistance] = uint16(back)
		z.heads[h] = at
	}
}

func hash(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - hashBits) }

// common returns how many bytes at i are the same as at a lower position. It
// counts no byte at limit or behind it.
func common(src []byte, at, i, limit int) int {
	from := i
	for i+8 <= limit {
		if x := binary.LittleEndian.Uint64(src[at:]) ^ binary.LittleEndian.Uint64(src[i:]); x != 0 {
			return i - from + bits.TrailingZeros64(x)>>3
		}
		at, i = at+8, i+8
	}
	for i < limit && src[at] == src[i] {
		at, i = at+1, i+1
	}
	return i - from
}

// extra returns the number of bytes that follow a token for a length that is not
// in the token's 4 bits alone.
func extra(length int) int {
	if length < 15 {
		return 0
	}
	return (length-15)/255 + 1
}

// fit returns the bytes that a sequence of literals and a match takes, and the
// match's length, which is cut to what fits into room bytes with the literals that
// must follow. The size is 0 if the sequence does not fit.
func fit(room, literals, length int) (size, fits int) {
	// The last match may have only minMatch bytes.
	room -= 1 + lastMatch - minMatch
	size = 1 + extra(literals) + literals + 2
	if size > room {
		return 0, 0
	}
	// One byte less than the most has no use for a byte of zero.
	fits = min(length, minMatch+14+(room-size)*255)
	return size + extra(fits-minMatch), fits
}

// literalsIn returns how many literals a last sequence of room bytes has.
func literalsIn(room int) int {
	n := room - 1
	for n+extra(n) > room-1 {
		n = room - 1 - extra(n)
	}
	return n
}

// putLiterals writes a token, whose low bits are given, and literals. It returns
// how many bytes it wrote.
func putLiterals(to, literals []byte, low byte) int {
	to[0] = byte(min(len(literals), 15))<<4 | low
	n := 1 + putLength(to[1:], len(literals))
	return n + copy(to[n:], literals)
}

// putLength writes the part of a length that is not in its token.
func putLength(to []byte, length int) (n int) {
	if length < 15 {
		return 0
	}
	for length -= 15; length >= 255; length -= 255 {
		to[n] = 255
		n++
	}
	to[n] = byte(length)
	return n + 1
}

func putSequence(to, literals []byte, m match) {
	n := putLiterals(to, literals, byte(min(m.length-minMatch, 15)))
	binary.LittleEndian.PutUint16(to[n:], uint16(m.distance))
	putLength(to[n+2:], m.length-minMatch)
}
