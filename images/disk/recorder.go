package disk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// recorder writes to a device and remembers the digest of each write. The writes
// can later be verified without having been kept in memory.
type recorder struct {
	dev    Device
	writes []write
}

type write struct {
	off, length int64
	sum         [sha256.Size]byte
}

// WriteAt writes to the device. A write may replace an earlier write of exactly
// the same extent. Any other overlap is an error.
func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	w := write{off: off, length: int64(len(p)), sum: sha256.Sum256(p)}
	if err := r.remember(w); err != nil {
		return 0, err
	}
	return r.dev.WriteAt(p, off)
}

func (r *recorder) remember(w write) error {
	for i, old := range r.writes {
		switch {
		case old.off == w.off && old.length == w.length:
			r.writes[i] = w
			return nil
		case old.off < w.off+w.length && w.off < old.off+old.length:
			return fmt.Errorf("the write of %d bytes at %d overlaps an earlier write of %d bytes at %d, so neither could be verified", w.length, w.off, old.length, old.off)
		}
	}
	r.writes = append(r.writes, w)
	return nil
}

// verify reads all writes back and compares their digests.
func (r *recorder) verify(ctx context.Context) error {
	var buf []byte
	for _, w := range r.writes {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify disk: %w", err)
		}
		if int64(cap(buf)) < w.length {
			buf = make([]byte, w.length)
		}
		buf = buf[:w.length]
		if n, err := r.dev.ReadAt(buf, w.off); int64(n) < w.length {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("verify disk: read %d bytes at %d: %w", w.length, w.off, err)
		}
		if sha256.Sum256(buf) != w.sum {
			return fmt.Errorf("verify disk: the %d bytes read at %d differ from those written: replace the disk", w.length, w.off)
		}
	}
	return nil
}
