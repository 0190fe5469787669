package pack

import (
	"crypto/sha256"
	"sync"

	"cloudlets/images/rootfs"
)

// zeroFrame returns the digest of a chunk of FrameSize zeros. A sparse file has
// thousands of such chunks.
var zeroFrame = sync.OnceValue(func() digest {
	return sha256.Sum256(make([]byte, FrameSize))
})

// sumOf returns the digest of b.
func sumOf(b []byte) digest {
	if len(b) == FrameSize && rootfs.IsZero(b) {
		return zeroFrame()
	}
	return sha256.Sum256(b)
}
