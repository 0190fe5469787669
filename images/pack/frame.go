package pack

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// newDecoder returns what unpacks frames for up to n goroutines at a time. It
// has no goroutine of its own and holds no memory of a hostile frame's choice.
// The frames' own checksums are for other tools; ours are the digests.
func newDecoder(n int) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(n), zstd.IgnoreChecksum(true),
		zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderMaxWindow(maxFrame))
}

// isHole tells whether a frame is known to hold nothing but zeros, from its
// digest alone.
func (t *TOC) isHole(f frame) bool {
	return f.count == 1 && t.chunks[f.first].size == FrameSize && t.chunks[f.first].digest == zeroFrame()
}

// unpack decodes the frame f into buf, or into a larger one, and checks the
// digest of every chunk in it.
func (t *TOC) unpack(dec *zstd.Decoder, f frame, packed, buf []byte) ([]byte, error) {
	raw, err := dec.DecodeAll(packed, buf[:0])
	if err != nil {
		return nil, fmt.Errorf("decode the frame at byte %d, which holds %s: %w", f.off, t.frameNames(f), err)
	}
	for _, c := range t.chunksIn(f) {
		end := int(c.inner) + int(c.size)
		if end > len(raw) || sha256.Sum256(raw[c.inner:end]) != c.digest {
			return nil, fmt.Errorf("%s, chunk at %d: its content has not the digest that the table of contents gives (frame at byte %d)", t.pathOf(c), c.off, f.off)
		}
	}
	return raw, nil
}

// frameNames tells a person what is in a frame.
func (t *TOC) frameNames(f frame) string {
	list := t.chunksIn(f)
	first := fmt.Sprintf("%s, chunk at %d", t.pathOf(list[0]), list[0].off)
	if len(list) == 1 {
		return first
	}
	return fmt.Sprintf("%s, and %d more", first, len(list)-1)
}
