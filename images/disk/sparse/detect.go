package sparse

import "bytes"

// Detect returns a writer that passes everything on to w, but skips whole blocks of
// zeros. Blocks are counted from the first byte written. Nothing is buffered, so a
// block of zeros that arrives in pieces is written.
func Detect(w Writer) Writer {
	return &detector{w: w}
}

type detector struct {
	w   Writer
	pos int64
}

var zeroBlock [BlockSize]byte

// IsZero reports whether all of b is zero.
func IsZero(b []byte) bool {
	for len(b) > BlockSize {
		if !bytes.Equal(b[:BlockSize], zeroBlock[:]) {
			return false
		}
		b = b[BlockSize:]
	}
	return bytes.Equal(b, zeroBlock[:len(b)])
}

func (d *detector) Skip(n int64) error {
	if err := d.w.Skip(n); err != nil {
		return err
	}
	d.pos += n
	return nil
}

func (d *detector) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, zero := d.run(p[done:])
		if zero {
			if err := d.Skip(int64(n)); err != nil {
				return done, err
			}
			done += n
			continue
		}
		written, err := d.w.Write(p[done : done+n])
		d.pos += int64(written)
		done += written
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// run returns the length of the longest prefix of p that consists only of blocks of
// zeros, or only of other blocks.
func (d *detector) run(p []byte) (n int, zero bool) {
	head := int((BlockSize - d.pos%BlockSize) % BlockSize)
	if head > 0 {
		n = min(head, len(p))
	} else {
		n, zero = d.block(p, 0)
	}
	for n < len(p) {
		size, z := d.block(p, n)
		if z != zero {
			return n, zero
		}
		n += size
	}
	return n, zero
}

// block examines the block that begins at p[at].
func (d *detector) block(p []byte, at int) (size int, zero bool) {
	size = min(BlockSize, len(p)-at)
	return size, size == BlockSize && bytes.Equal(p[at:at+size], zeroBlock[:])
}
