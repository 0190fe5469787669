package sparse

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// HoleSize is the least hole that [FindData] tells of, in bytes, and what
// holes begin and end at a multiple of.
const HoleSize = 64 << 10

// Extent is a part of a file, in bytes.
type Extent struct{ Offset, Length int64 }

// End is where the part ends.
func (x Extent) End() int64 { return x.Offset + x.Length }

// FindData reads a file of size bytes and lists its parts that are not zero.
// A file that is one hole has none, and the list is not nil. The buffer has at
// least [HoleSize] bytes.
func FindData(ctx context.Context, r io.Reader, size int64, buf []byte) ([]Extent, error) {
	data := []Extent{}
	for off := int64(0); off < size; off += HoleSize {
		part := buf[:min(HoleSize, size-off)]
		if _, err := io.ReadFull(r, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read it for its holes: %w", err)
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
