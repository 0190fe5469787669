package pack

import (
	"crypto/sha256"
	"sync"

	"cloudlets/images/rootfs"
)

// zeroFrame is the digest of a chunk of FrameSize zeros, of which a sparse
// file has thousands.
var zeroFrame = sync.OnceValue(func() digest {
	return sha256.Sum256(make([]byte, FrameSize))
})

// sumOf is the digest of b.
func sumOf(b []byte) digest {
	if len(b) == FrameSize && rootfs.IsZero(b) {
		return zeroFrame()
	}
	return sha256.Sum256(b)
}
