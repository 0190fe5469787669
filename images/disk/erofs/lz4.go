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
	longBits, shortBits = 13, 13
	// goodMatch is the length in bytes of a match that is taken without looking
	// for a longer one.
	goodMatch = 16
	// missBits says how soon the search skips bytes in data without matches.
	missBits, maxMisses = 5, 1 << 10
)

// compressor compresses data into LZ4 blocks that each fill a filesystem's block. The
// usual libraries take a length of the input, and EROFS needs one of the output.
// The result depends on the data alone, although a compressor can be used again.
type compressor struct {
	src []byte
	// base is the position of src[0] in the whole input so far. Lower positions
	// are invalid.
	base   uint32
	misses int // in a row

	// The latest position for a hash of 8 bytes, and of minMatch bytes.
	long  [1 << longBits]uint32
	short [1 << shortBits]uint32
	out   [blockSize]byte
}

// begin makes src the data to compress. It has at most segmentSize bytes.
func (z *compressor) begin(src []byte) {
	z.base += uint32(len(z.src))
	if z.base == 0 || z.base >= 1<<31 {
		clear(z.long[:])
		clear(z.short[:])
		z.base = 1 // 0 in a table is no position
	}
	z.src, z.misses = src, 0
}

// match is a repetition of earlier bytes.
type match struct{ at, length, distance int }

// block compresses from start as much as fits into a block. It returns the end of
// that part of the data, and the compressed bytes, which are valid until the next
// call.
func (z *compressor) block(start int) (end int, packed []byte) {
	n, literals := 0, start
	for {
		m := z.find(literals, min(literals+blockSize-n, len(z.src)-lastMatch+1), start)
		if m.length == 0 {
			break
		}
		z.misses = 0
		m = z.better(m, start, literals)
		size := 0
		if size, m.length = fit(blockSize-n, m.at-literals, m.length); size == 0 {
			break
		}
		putSequence(z.out[n:], z.src[literals:m.at], m)
		n += size
		literals = m.at + m.length
		z.insert(m.at+2, min(literals, len(z.src)-lastMatch))
	}
	last := min(len(z.src)-literals, literalsIn(blockSize-n))
	n += putLiterals(z.out[n:], z.src[literals:literals+last], 0)
	return literals + last, z.out[:n]
}

// better looks for a longer match at the bytes that follow a match's first. It
// extends the best match towards the literals' beginning.
func (z *compressor) better(m match, start, literals int) match {
	for m.length < goodMatch && m.at < len(z.src)-lastMatch {
		next := z.find(m.at+1, m.at+2, start)
		if next.length <= m.length {
			break
		}
		m = next
	}
	for m.at > literals && m.at-m.distance > start && z.src[m.at-1] == z.src[m.at-m.distance-1] {
		m.at, m.length = m.at-1, m.length+1
	}
	return m
}

// find returns the first match that begins at i or later and before end, and whose
// repeated bytes begin at start or later. It notes the positions. The match's length
// is 0 if there is none. Positions behind i are in the tables if an earlier block
// searched that far.
func (z *compressor) find(i, end, start int) match {
	src, base, misses := z.src, z.base, z.misses
	first, limit := base+uint32(start), len(src)-lastLiterals
	for i < end {
		v, now := binary.LittleEndian.Uint64(src[i:]), base+uint32(i)
		l, s := v*longPrime>>(64-longBits), uint32(v)*shortPrime>>(32-shortBits)
		long, short := z.long[l], z.short[s]
		z.long[l], z.short[s] = now, now
		// A difference of unsigned numbers excludes what is before first and behind i.
		if at := int(long - base); long-first < now-first && binary.LittleEndian.Uint64(src[at:]) == v && i-at <= maxDistance {
			return match{i, common(src, at, i, limit), i - at}
		}
		if at := int(short - base); short-first < now-first && binary.LittleEndian.Uint32(src[at:]) == uint32(v) && i-at <= maxDistance {
			return match{i, common(src, at, i, limit), i - at}
		}
		i += 1 + misses>>missBits
		misses = min(misses+1, maxMisses)
	}
	z.misses = misses
	return match{}
}

const (
	longPrime  = 0x9e3779b185ebca87
	shortPrime = 2654435761
)

// insert notes every other position.
func (z *compressor) insert(from, end int) {
	for i := from; i < end; i += 2 {
		v, now := binary.LittleEndian.Uint64(z.src[i:]), z.base+uint32(i)
		z.long[v*longPrime>>(64-longBits)] = now
		z.short[uint32(v)*shortPrime>>(32-shortBits)] = now
	}
}

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
