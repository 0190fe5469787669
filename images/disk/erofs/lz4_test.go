package erofs

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// unpack reads what press returned for a segment, with another LZ4.
func unpack(t *testing.T, segment []byte) (content []byte) {
	t.Helper()
	list, blocks, rest := pressed(segment)
	if len(rest) > 0 {
		t.Fatalf("%d bytes after %d extents", len(rest), list.count())
	}
	for i := range list.count() {
		length, raw := list.at(i)
		block := blocks[i*blockSize:][:blockSize]
		if raw {
			content = append(content, block[:length]...)
			continue
		}
		part := make([]byte, length)
		if n, err := lz4.UncompressBlock(bytes.TrimLeft(block, "\x00"), part); err != nil || int64(n) != length {
			t.Fatalf("extent %d: %d bytes of %d: %v", i, n, length, err)
		}
		content = append(content, part...)
	}
	return content
}

// FuzzLZ4: another LZ4 reads what was compressed, whatever was compressed before.
func FuzzLZ4(f *testing.F) {
	f.Add([]byte("abcd"), uint32(10_000), uint64(1))
	f.Add([]byte{0}, uint32(segmentSize), uint64(2))
	f.Add([]byte("abcdefgh12345678"), uint32(4097), uint64(3))
	f.Fuzz(func(t *testing.T, piece []byte, size uint32, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		var content []byte
		for n := int(size % (segmentSize + 1)); len(content) < n; {
			switch r.IntN(3) {
			case 0:
				content = append(content, piece...)
			case 1:
				content = append(content, bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(9000))...)
			default:
				for range 1 + r.IntN(300) {
					content = append(content, byte(r.IntN(1+len(piece))))
				}
			}
			content = content[:min(len(content), n)]
		}
		used, fresh := new(compressor), new(compressor)
		press(used, nil, piece[:min(len(piece), segmentSize)])
		again, got := press(used, nil, content), press(fresh, nil, content)
		if !bytes.Equal(unpack(t, got), content) {
			t.Fatalf("%d bytes are not as they were", len(content))
		}
		if !bytes.Equal(again, got) {
			t.Fatal("a used compressor has another result")
		}
	})
}
