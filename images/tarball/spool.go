package tarball

import (
	"bytes"
	"fmt"
	"os"

	"cloudlets/images/tempfile"
)

// spool is a temporary file without a name that an archive is unpacked
// to. What is zeros takes no room in it.
type spool struct {
	file *os.File
	n    int64
}

// newSpool makes the file in dir, or where temporary files are.
func newSpool(dir string) (*spool, error) {
	f, err := tempfile.Create(dir, "cloudlets-*.tar")
	if err != nil {
		// That the folder is not there must not be taken for a file of the image.
		return nil, fmt.Errorf("unpack it to a temporary file: %v; TMPDIR chooses the folder", err)
	}
	return &spool{file: f}, nil
}

// holeSize is what the spool leaves out if it is zeros, in bytes.
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

// end gives the file its length: zeros at its end were not written.
func (s *spool) end() error {
	if err := s.file.Truncate(s.n); err != nil {
		return fmt.Errorf("unpack it to a temporary file: %w", err)
	}
	return nil
}

// close gives the file's room back; nil has none.
func (s *spool) close() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}

// allZero says whether there is nothing but zeros in p.
func allZero(p []byte) bool { return len(p) == 0 || p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) }
