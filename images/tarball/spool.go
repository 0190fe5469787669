package tarball

import (
	"bytes"
	"fmt"
	"os"

	"cloudlets/images/tempfile"
)

// spool is a temporary file without a name that an archive is unpacked to. Runs
// of zeros become holes.
type spool struct {
	file *os.File
	n    int64
}

// newSpool makes the file in dir; "" is [os.TempDir].
func newSpool(dir string) (*spool, error) {
	f, err := tempfile.Create(dir, "cloudlets-*.tar")
	if err != nil {
		// %v, not %w: callers must not take the missing folder for a missing file
		// of the image.
		return nil, fmt.Errorf("unpack it to a temporary file: %v; TMPDIR chooses the folder", err)
	}
	return &spool{file: f}, nil
}

// holeSize is the length of a run of zeros that becomes a hole, in bytes.
const holeSize = 64 << 10

func (s *spool) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		part := p[done:min(done+holeSize, len(p))]
		if !allZero(part) {
			if _, err := s.file.WriteAt(part, s.n); err != nil {
				return done, fmt.Errorf("unpack it to a temporary file: %w; TMPDIR chooses the folder", err)
			}
		}
		done += len(part)
		s.n += int64(len(part))
	}
	return len(p), nil
}

// end sets the length of the file, because zeros at its end were not written.
func (s *spool) end() error {
	if err := s.file.Truncate(s.n); err != nil {
		return fmt.Errorf("unpack it to a temporary file: %w", err)
	}
	return nil
}

// close removes the file. A nil spool has none.
func (s *spool) close() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}

// allZero says whether all bytes of p are zero.
func allZero(p []byte) bool { return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) }
