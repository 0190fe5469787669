package iso

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// ErrNotISO says that something is no image of this package.
var ErrNotISO = errors.New("no ISO image of cloudlets")

// ReadID reads the identifier of the image on a medium. It is [ErrNotISO]
// where there is none.
func ReadID(r io.ReaderAt) (uuid.UUID, error) {
	b := make([]byte, sector)
	if _, err := r.ReadAt(b, volumeAt*sector); err != nil {
		if errors.Is(err, io.EOF) {
			return uuid.Nil, ErrNotISO
		}
		return uuid.Nil, fmt.Errorf("read a volume descriptor: %w", err)
	}
	if b[0] != 1 || string(b[1:6]) != standardID {
		return uuid.Nil, ErrNotISO
	}
	var id uuid.UUID
	if _, err := hex.Decode(id[:], b[volumeSetAt:][:2*len(id)]); err != nil {
		return uuid.Nil, ErrNotISO
	}
	return id, nil
}
