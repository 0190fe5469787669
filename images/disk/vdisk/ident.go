package vdisk

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// derived returns another identifier that follows from id, for the purpose
// named: a UUID of version 8 (RFC 9562).
func derived(id [16]byte, purpose string) [16]byte {
	sum := sha256.Sum256(append(id[:], purpose...))
	u := [16]byte(sum[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}

// mixed returns a UUID as Microsoft's and VirtualBox's structures hold it: the
// first three fields little-endian.
func mixed(u [16]byte) [16]byte {
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	return u
}

// guid returns the UUID written as text, as Microsoft's structures hold it.
func guid(text string) [16]byte {
	return mixed(uuid.MustParse(text))
}
