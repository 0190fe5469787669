package vdisk

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// derived derives an identifier for the named purpose from id. It is a UUID of version
// 8 (RFC 9562).
func derived(id [16]byte, purpose string) [16]byte {
	sum := sha256.Sum256(append(id[:], purpose...))
	u := [16]byte(sum[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}

// mixed encodes a UUID for Microsoft's and VirtualBox's structures: the first three
// fields are little-endian.
func mixed(u [16]byte) [16]byte {
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	return u
}

// guid parses a UUID and encodes it for Microsoft's structures.
func guid(text string) [16]byte {
	return mixed(uuid.MustParse(text))
}
