package ext4

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"cloudlets/images"
)

// sum is FNV-1a over 64 bits: it notices changes and need not resist anyone.
type sum uint64

func newSum() sum { return 0xcbf29ce484222325 }

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

// entrySum is what an entry was like. It is never 0.
func entrySum(e images.Entry) uint64 {
	s := newSum().text(e.Path).text(e.Link)
	s = s.number(uint64(e.Type)<<32 | uint64(e.Mode)).number(uint64(e.UID)<<32 | uint64(e.GID))
	s = s.number(uint64(e.Size)).number(uint64(e.ModTime.Unix())).number(uint64(e.ModTime.Nanosecond()))
	s = s.number(uint64(e.Major)<<32 | uint64(e.Minor))
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		s = s.text(name).text(e.Xattrs[name])
	}
	return max(uint64(s), 1)
}

// deriveUUID names a filesystem after what it is made of.
func (t *tree) deriveUUID(opts Options) [16]byte {
	h := sha256.New()
	h.Write([]byte(opts.Label))
	add := func(v uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	add(uint64(opts.Size))
	add(uint64(opts.Free))
	for i := range t.inodes.n {
		add(t.inodes.at(i).sum)
	}
	for _, sum := range t.links {
		add(sum)
	}
	return derive(h.Sum(nil), "UUID")
}

// derive makes an identifier of another, in the form of a UUID of version 8,
// which is one of the maker's own.
func derive(from []byte, what string) (id [16]byte) {
	digest := sha256.Sum256(append([]byte("cloudlets ext4 "+what+"\x00"), from...))
	copy(id[:], digest[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
