package sparse

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// HoleSize is the size in bytes of the smallest hole that [FindData] reports. Holes
// begin and end at a multiple of it.
const HoleSize = 64 << 10

// Extent is a part of a file, in bytes.
type Extent struct{ Offset, Length int64 }

// End returns the offset after the part's last byte.
func (x Extent) End() int64 { return x.Offset + x.Length }

// FindData reads a file of size bytes and returns its parts that are not zero. For a
// file that is one hole, the list is empty but not nil. The buffer must have at
// least [HoleSize] bytes.
func FindData(ctx context.Context, r io.Reader, size int64, buf []byte) ([]Extent, error) {
	data := []Extent{}
	for off := int64(0); off < size; off += HoleSize {
		part := buf[:min(HoleSize, size-off)]
		if _, err := io.ReadFull(r, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read it to find its holes: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if IsZero(part) {
			continue
		}
		if last := len(data) - 1; last >= 0 && data[last].End() == off {
			data[last].Length += int64(len(part))
			continue
		}
		data = append(data, Extent{off, int64(len(part))})
	}
	return data, nil
}
