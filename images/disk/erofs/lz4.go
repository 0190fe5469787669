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
	// base is added to positions in the tables. It grows from block to block, so
	// that what earlier blocks left in the tables is lower, and need not be cleared.
	base   uint32
	misses int // in a row

	// The latest position for a hash of 8 bytes, and of minMatch bytes.
	long  [1 << longBits]uint32
	short [1 << shortBits]uint32
	out   [blockSize]byte
}

func (z *compressor) begin() { z.misses = 0 }

// pack compresses the beginning of src into one block.
func (z *compressor) pack(src []byte) (length int, packed []byte) {
	if len(src) > blockSize {
		if length, packed = z.block(src); length > blockSize {
			return length, packed
		}
	}
	return min(len(src), blockSize), nil
}

// match is a repetition of earlier bytes.
type match struct{ at, length, distance int }

// block compresses as much of the beginning of src as fits into a block. It returns
// the length of that part, and the compressed bytes, which are valid until the next
// call. Src has at most segmentSize bytes.
func (z *compressor) block(src []byte) (length int, packed []byte) {
	if z.base == 0 || z.base >= 1<<31 {
		clear(z.long[:])
		clear(z.short[:])
		z.base = 1 // 0 in a table is no position
	}
	n, literals, last := 0, 0, len(src)-lastMatch
	for {
		m := z.find(src, literals, min(literals+blockSize-n, last+1))
		if m.length == 0 {
			break
		}
		z.misses = 0
		m = z.better(src, m, literals)
		size := 0
		if size, m.length = fit(blockSize-n, m.at-literals, m.length); size == 0 {
			break
		}
		putSequence(z.out[n:], src[literals:m.at], m)
		n += size
		literals = m.at + m.length
		z.insert(src, m.at+2, min(literals, last))
	}
	// A search ends less than blockSize bytes behind the literals, and better looks at a
	// few bytes more.
	z.base += uint32(literals) + 2*blockSize
	end := literals + min(len(src)-literals, literalsIn(blockSize-n))
	n += putLiterals(z.out[n:], src[literals:end], 0)
	return end, z.out[:n]
}

// better looks for a longer match at the bytes that follow a match's first. It
// extends the best match towards the literals' beginning.
func (z *compressor) better(src []byte, m match, literals int) match {
	for m.length < goodMatch && m.at < len(src)-lastMatch {
		next := z.find(src, m.at+1, m.at+2)
		if next.length <= m.length {
			break
		}
		m = next
	}
	for m.at > literals && m.at > m.distance && src[m.at-1] == src[m.at-m.distance-1] {
		m.at, m.length = m.at-1, m.length+1
	}
	return m
}

// find returns the first match that begins at i or later and before end. It notes the
// positions. The match's length is 0 if there is none.
func (z *compressor) find(src []byte, i, end int) match {
	base, misses, at := z.base, z.misses, 0
	for ; i < end; i += 1 + misses>>missBits {
		v, now := binary.LittleEndian.Uint64(src[i:]), base+uint32(i)
		l, s := v*longPrime>>(64-longBits), uint32(v)*shortPrime>>(32-shortBits)
		long, short := z.long[l], z.short[s]
		z.long[l], z.short[s] = now, now
		if long >= base {
			if at = int(long - base); binary.LittleEndian.Uint64(src[at:]) == v && i-at <= maxDistance {
				return match{i, common(src, at, i, len(src)-lastLiterals), i - at}
			}
		}
		if short >= base {
			if at = int(short - base); binary.LittleEndian.Uint32(src[at:]) == uint32(v) && i-at <= maxDistance {
				return match{i, common(src, at, i, len(src)-lastLiterals), i - at}
			}
		}
		misses++
	}
	z.misses = min(misses, maxMisses)
	return match{}
}

const (
	longPrime  = 0x9e3779b185ebca87
	shortPrime = 2654435761
)

// insert notes every other position.
func (z *compressor) insert(src []byte, from, end int) {
	for i := from; i < end; i += 2 {
		v, now := binary.LittleEndian.Uint64(src[i:]), z.base+uint32(i)
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
