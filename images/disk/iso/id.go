package iso

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// ErrNotISO is returned for a medium without an image made by this package.
var ErrNotISO = errors.New("not an ISO image made by cloudlets")

// ReadID reads the identifier of the image on a medium. It returns [ErrNotISO] if
// there is no such image.
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
