package pack

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// newDecoder returns a decoder of frames that up to n goroutines may use at the
// same time. It starts no goroutines, and a hostile frame cannot make it use
// much memory. It ignores the checksums of the frames, which are for other
// tools; we check digests instead.
func newDecoder(n int) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(n), zstd.IgnoreChecksum(true),
		zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderMaxWindow(maxFrame))
}

// isHole reports whether the digest of a frame shows that it contains only
// zeros.
func (t *TOC) isHole(f frame) bool {
	return f.count == 1 && t.chunks[f.first].size == FrameSize && t.chunks[f.first].digest == zeroFrame()
}

// unpack decodes the frame f into buf, or into a larger buffer, and checks the
// digest of every chunk in it.
func (t *TOC) unpack(dec *zstd.Decoder, f frame, packed, buf []byte) ([]byte, error) {
	raw, err := dec.DecodeAll(packed, buf[:0])
	if err != nil {
		return nil, fmt.Errorf("decode the frame at byte %d, which holds %s: %w", f.off, t.frameNames(f), err)
	}
	for _, c := range t.chunksIn(f) {
		end := int(c.inner) + int(c.size)
		if end > len(raw) || sha256.Sum256(raw[c.inner:end]) != c.digest {
			return nil, fmt.Errorf("%s, chunk at %d: its content does not have the digest from the table of contents (frame at byte %d)", t.pathOf(c), c.off, f.off)
		}
	}
	return raw, nil
}

// frameNames describes for a person what is in a frame.
func (t *TOC) frameNames(f frame) string {
	list := t.chunksIn(f)
	first := fmt.Sprintf("%s, chunk at %d", t.pathOf(list[0]), list[0].off)
	if len(list) == 1 {
		return first
	}
	return fmt.Sprintf("%s, and %d more", first, len(list)-1)
}
