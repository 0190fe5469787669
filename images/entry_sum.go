package images

import (
	"maps"
	"slices"
)

// Sum returns a checksum of all fields of an entry. It is never 0. Code that
// walks a source twice uses it to notice that a file changed in between. The
// checksum is 64-bit FNV-1a, so it does not protect against deliberate forgery.
func (e Entry) Sum() uint64 {
	s := sum(0xcbf29ce484222325).text(e.Path).text(e.Link)
	s = s.number(uint64(e.Type)<<32 | uint64(e.Mode)).number(uint64(e.UID)<<32 | uint64(e.GID))
	s = s.number(uint64(e.Size)).number(uint64(e.ModTime.Unix())).number(uint64(e.ModTime.Nanosecond()))
	s = s.number(uint64(e.Major)<<32 | uint64(e.Minor))
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		s = s.text(name).text(e.Xattrs[name])
	}
	return max(uint64(s), 1)
}

type sum uint64

func (s sum) text(t string) sum {
	for i := range len(t) {
		s = (s ^ sum(t[i])) * 0x100000001b3
	}
	return s.number(uint64(len(t)))
}

func (s sum) number(v uint64) sum {
	for range 8 {
		s = (s ^ sum(v&0xff)) * 0x100000001b3
		v >>= 8
	}
	return s
}
