package sparse

import "bytes"

// Detect passes everything on to w, but skips whole blocks of zeros that are
// written, as counted from where it begins. It buffers nothing: a block that
// comes in pieces is passed on as it is.
func Detect(w Writer) Writer {
	return &detector{w: w}
}

type detector struct {
	w   Writer
	pos int64
}

var zeroBlock [BlockSize]byte

// IsZero says whether all of b is zero.
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

// run measures the longest beginning of p that is all zero blocks, or has
// none.
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

// block looks at the block that begins at p[at].
func (d *detector) block(p []byte, at int) (size int, zero bool) {
	size = min(BlockSize, len(p)-at)
	return size, size == BlockSize && bytes.Equal(p[at:at+size], zeroBlock[:])
}
