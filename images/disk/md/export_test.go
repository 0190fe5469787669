package md

import "encoding/binary"

// Mend puts the right checksum into a superblock, if it has one at all.
func Mend(b []byte) {
	roles := binary.LittleEndian.Uint32(b[atMaxRoles:])
	if roles <= maxRoles {
		binary.LittleEndian.PutUint32(b[atSum:], checksum(b[:headSize+2*roles]))
	}
}
