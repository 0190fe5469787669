package ext4

import (
	"encoding/binary"
	"math/bits"
)

// hashHalfMD4 is the number of the hash that orders large directories; the
// superblock says that bytes of names are unsigned in it.
const hashHalfMD4 = 1

// nameHash is the hash by which indexed directories are ordered.
type nameHash struct{ major, minor uint32 }

// hashEnd marks the end of a directory, so no name may have this hash.
const hashEnd = 0xfffffffe

// hashName hashes a name with a filesystem's seed, by the first three eighths
// of MD4 ("half MD4") over 32 bytes at a time.
func hashName(seed [16]byte, name []byte) nameHash {
	var state [4]uint32
	for i := range state {
		state[i] = binary.LittleEndian.Uint32(seed[4*i:])
	}
	for len(name) > 0 {
		halfMD4(&state, hashWords(name))
		name = name[min(32, len(name)):]
	}
	h := nameHash{major: state[1] &^ 1, minor: state[2]}
	if h.major == hashEnd {
		h.major -= 2
	}
	return h
}

// hashWords converts the first 32 bytes of a name to eight big-endian words. It
// fills up with the length of the rest of the name.
func hashWords(name []byte) (words [8]uint32) {
	pad := uint32(len(name)) & 0xff
	pad |= pad << 8
	pad |= pad << 16
	for i := range words {
		words[i] = pad
		for j := 4 * i; j < min(4*i+4, len(name)); j++ {
			words[i] = words[i]<<8 | uint32(name[j])
		}
	}
	return words
}

// halfMD4 mixes eight words into the state: three rounds of MD4, cut short.
func halfMD4(state *[4]uint32, in [8]uint32) {
	rounds := [3]struct {
		f      func(x, y, z uint32) uint32
		add    uint32
		order  [8]int
		shifts [4]int
	}{
		{func(x, y, z uint32) uint32 { return z ^ x&(y^z) }, 0, [8]int{0, 1, 2, 3, 4, 5, 6, 7}, [4]int{3, 7, 11, 19}},
		{func(x, y, z uint32) uint32 { return x&y + (x^y)&z }, 0x5a827999, [8]int{1, 3, 5, 7, 0, 2, 4, 6}, [4]int{3, 5, 9, 13}},
		{func(x, y, z uint32) uint32 { return x ^ y ^ z }, 0x6ed9eba1, [8]int{3, 7, 2, 6, 1, 5, 0, 4}, [4]int{3, 9, 11, 15}},
	}
	s := *state
	for _, r := range rounds {
		for i, word := range r.order {
			a, b, c, d := (4-i)&3, (5-i)&3, (6-i)&3, (7-i)&3
			s[a] = bits.RotateLeft32(s[a]+r.f(s[b], s[c], s[d])+in[word]+r.add, r.shifts[i%4])
		}
	}
	for i := range state {
		state[i] += s[i]
	}
}
