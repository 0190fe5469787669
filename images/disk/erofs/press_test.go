package erofs

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// unpack reads what press returned for a segment. Of is what reads an extent without its
// padding.
func unpack(t *testing.T, segment []byte, of func(packed, to []byte) (int, error)) (content []byte) {
	t.Helper()
	list, blocks, rest := pressed(segment)
	if len(rest) > 0 {
		t.Fatalf("%d bytes after %d extents", len(rest), list.count())
	}
	for i := 0; i < list.count(); i = list.end(i) {
		length, raw := list.at(i)
		block := blocks[i*blockSize : list.end(i)*blockSize]
		if raw {
			content = append(content, block[:length]...)
			continue
		}
		part := make([]byte, length)
		if n, err := of(bytes.TrimLeft(block, "\x00"), part); err != nil || int64(n) != length {
			t.Fatalf("extent %d: %d bytes of %d: %v", i, n, length, err)
		}
		content = append(content, part...)
	}
	return content
}

// FuzzLZ4: another LZ4 reads what was compressed, whatever was compressed before.
func FuzzLZ4(f *testing.F) { fuzz(f, LZ4, lz4.UncompressBlock) }

// FuzzZstd is the same for zstd.
func FuzzZstd(f *testing.F) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostData))
	if err != nil {
		f.Fatal(err)
	}
	defer decoder.Close()
	fuzz(f, ZSTD, func(packed, to []byte) (int, error) {
		out, err := decoder.DecodeAll(packed, nil)
		return copy(to, out), err
	})
}

func fuzz(f *testing.F, how Compression, unpackOne func(packed, to []byte) (int, error)) {
	f.Add([]byte("abcd"), uint32(10_000), uint64(1))
	f.Add([]byte{0}, uint32(segmentSize), uint64(2))
	f.Add([]byte("abcdefgh12345678"), uint32(4097), uint64(3))
	f.Fuzz(func(t *testing.T, piece []byte, size uint32, seed uint64) {
		content := repeating(piece, int(size%(segmentSize+1)), rand.New(rand.NewPCG(seed, 1)))
		used, fresh := how.packer(), how.packer()
		press(used, nil, piece[:min(len(piece), segmentSize)])
		again, got := press(used, nil, content), press(fresh, nil, content)
		if !bytes.Equal(unpack(t, got, unpackOne), content) {
			t.Fatalf("%d bytes are not as they were", len(content))
		}
		if !bytes.Equal(again, got) {
			t.Fatal("a used compressor has another result")
		}
	})
}

// repeating makes n bytes of a piece, of runs of one byte, and of noise.
func repeating(piece []byte, n int, r *rand.Rand) (content []byte) {
	for len(content) < n {
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
	return content
}
