package ext4

import (
	"crypto/sha256"
	"encoding/binary"
)

// deriveUUID derives a filesystem's UUID from the image's metadata.
func (t *tree) deriveUUID(opts Options) [16]byte {
	h := sha256.New()
	h.Write([]byte(opts.Label))
	add := func(v uint64) { h.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	add(uint64(opts.Size))
	add(uint64(opts.Free))
	for i := range t.inodes.Len() {
		add(t.inodes.At(i).sum)
	}
	for i := range t.links.Len() {
		add(*t.links.At(i))
	}
	return derive(h.Sum(nil), "UUID")
}

// derive derives an identifier from another. It is a UUID of version 8, for which
// RFC 9562 leaves the method to the implementation.
func derive(from []byte, what string) (id [16]byte) {
	digest := sha256.Sum256(append([]byte("cloudlets ext4 "+what+"\x00"), from...))
	copy(id[:], digest[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
