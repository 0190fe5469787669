package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/images/disk/sparse"
)

const (
	// leastSparse is the size in bytes from which on a file is searched for
	// holes: smaller ones are not worth reading twice.
	leastSparse = 1 << 20
	// holeUnit is the least hole, and where they begin and end.
	holeUnit = 64 << 10
)

// findData reads a file and lists its parts that are not zero.
func findData(ctx context.Context, r io.Reader, size int64, buf []byte) ([]segment, error) {
	data := []segment{} // not nil: a file that is one hole has no data
	for off := int64(0); off < size; off += holeUnit {
		part := buf[:min(holeUnit, size-off)]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, fmt.Errorf("read it for its holes: %w", noEOF(err))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if sparse.IsZero(part) {
			continue
		}
		at, count := off/blockSize, ceilDiv(int64(len(part)), blockSize)
		if last := len(data) - 1; last >= 0 && data[last].logical+data[last].count == at {
			data[last].count += count
			continue
		}
		data = append(data, segment{at, count})
	}
	return data, nil
}

// noEOF keeps an early end from looking like an ordinary one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
