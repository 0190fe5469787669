package depot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	// smallContent is up to how many bytes a file is kept in memory after it was read.
	// Opening it takes longer than sending it.
	smallContent = 64 << 10
	// maxSmall is how many bytes of such files are kept.
	maxSmall = 4 << 20
)

// Reader reads a file of the depot. It is either the file itself, so that the kernel can
// send it, or its content in memory.
type Reader struct {
	io.ReadSeeker
	Size int64 // in bytes
}

// Close closes the file.
func (r Reader) Close() error {
	if c, ok := r.ReadSeeker.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Open opens the file with a digest. The error is fs.ErrNotExist if there is none.
func (d *Depot) Open(digest string) (Reader, error) {
	if content, ok := d.small.get(digest); ok {
		return Reader{bytes.NewReader(content), int64(len(content))}, nil
	}
	f, err := os.Open(d.Path(digest))
	if err != nil {
		return Reader{}, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() > smallContent:
		return Reader{f, info.Size()}, nil
	default:
		var content []byte
		if content, err = io.ReadAll(io.LimitReader(f, smallContent)); err == nil {
			d.small.put(digest, content)
			return Reader{bytes.NewReader(content), int64(len(content))}, f.Close()
		}
	}
	return Reader{}, errors.Join(fmt.Errorf("read a file of the depot: %w", err), f.Close())
}

// smallFiles are the contents of small files by digest. A digest is always that of the
// same content, so none is ever out of date. The zero value is empty.
type smallFiles struct {
	mu      sync.Mutex
	content map[string][]byte
	bytes   int
}

func (s *smallFiles) get(digest string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.content[digest]
	return content, ok
}

func (s *smallFiles) put(digest string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.content == nil || s.bytes+len(content) > maxSmall {
		s.content, s.bytes = map[string][]byte{}, 0
	}
	if _, twice := s.content[digest]; !twice {
		s.bytes += len(content)
	}
	s.content[digest] = content
}
