package erofs

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

const (
	// clusterSize is the most that the compressed form of an extent has in bytes. A kernel
	// reads and decompresses an extent from its beginning for each of its bytes, so larger
	// ones make a smaller filesystem and slower reads at random.
	clusterSize = 32 << 10
	// windowBits bounds the data of an extent to mostData bytes. A kernel reserves about
	// that much memory for each processor.
	windowBits = 18
	mostData   = 1 << windowBits
	// mostTries is how often an extent is compressed to find out how much data fills it, and
	// leastStep is how many bytes more than before are worth another try.
	mostTries, leastStep = 4, 512
	// leastGain is the part of its data, as a divisor, by which an extent must become smaller.
	leastGain = 32
	// firstGuess is how much data is expected to fill the first extent.
	firstGuess = 5 * clusterSize / 2
)

// zstdParameters are the parameters of zstd in the superblock (z_erofs_zstd_cfgs in
// fs/erofs/erofs_fs.h), after their length. The smallest window has 1<<10 bytes.
var zstdParameters = [8]byte{0: 6, 3: windowBits - 10}

// zstdPacker compresses with zstd. As EROFS needs a length of the output and a library
// takes one of the input, it tries a few. The result depends on the data alone, although
// a packer can be used again.
type zstdPacker struct {
	encoder   *zstd.Encoder
	guess     int    // how much data is expected to fill an extent
	out, best []byte // what was compressed last, and what has the most data of all that fits
}

func newZstdPacker() *zstdPacker {
	// The next level makes files smaller by a hundredth, and takes twice the time. Literals
	// are worth their time even where there are no matches. The kernel checks no checksums.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithAllLitEntropyCompression(true),
		zstd.WithWindowSize(mostData), zstd.WithSingleSegment(true), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(fmt.Sprintf("make a zstd encoder with fixed options: %v", err))
	}
	return &zstdPacker{encoder: e}
}

func (z *zstdPacker) begin() { z.guess = firstGuess }

// pack compresses as much of the beginning of src as fills an extent.
func (z *zstdPacker) pack(src []byte) (length int, packed []byte) {
	tried := len(src)
	if tried > blockSize {
		if length, tried = z.search(src[:min(len(src), mostData)]); length > int(blocks(int64(len(z.best))))*blockSize {
			return length, z.best
		}
	}
	if tried < len(src) {
		tried = max(tried/blockSize, 1) * blockSize
	}
	return tried, nil
}

// search looks for the longest beginning of src that fits into an extent. It leaves its
// compressed form in best. Fits is 0 if there is none that becomes smaller. Tried is the
// length that it tried last.
func (z *zstdPacker) search(src []byte) (fits, tried int) {
	z.best = z.best[:0]
	over, next := len(src)+1, min(z.guess, len(src))
	for try := 1; ; try++ {
		tried = next
		size := z.compress(src[:tried])
		switch {
		case size > tried-tried/leastGain:
			return fits, tried
		case size <= clusterSize:
			fits = tried
			z.best, z.out = z.out, z.best
		default:
			over = tried
		}
		next = min(z.guess, over-1)
		if fits > 0 && (try >= mostTries || next < fits+leastStep) || next <= blockSize {
			return fits, tried
		}
	}
}

// compress compresses data into out, returns the compressed length, and guesses from
// it how much data fills an extent. The guess is a little low, since data that does not
// fit was compressed in vain.
func (z *zstdPacker) compress(data []byte) (size int) {
	z.out = z.encoder.EncodeAll(data, z.out[:0])
	guess := int64(len(data)) * clusterSize / int64(len(z.out))
	z.guess = int(min(guess-guess/256, mostData))
	return len(z.out)
}
