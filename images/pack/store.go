//go:build linux

package pack

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"cloudlets/images/rootfs"
)

// Store has the content of files that were written from another pack. [Extract] takes
// from it what both packs have, and fetches only the rest. Whatever became of the files
// meanwhile, nothing is taken that has not the digest it should have.
type Store struct {
	toc      *TOC
	root     *rootfs.Root
	byDigest map[digest]int32 // chunks of toc
}

// OpenStore returns a store of the files in dir, which were written from a pack with the
// given table of contents. The caller must close it.
func OpenStore(toc *TOC, dir string) (*Store, error) {
	root, err := rootfs.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the files of an earlier install: %w", err)
	}
	s := &Store{toc: toc, root: root, byDigest: make(map[digest]int32, len(toc.chunks))}
	for i, c := range toc.chunks {
		s.byDigest[c.digest] = int32(i)
	}
	return s, nil
}

// Close ends the use of the files.
func (s *Store) Close() { s.root.Close() }

// holds says whether the store should have all chunks of a frame. A nil Store has none.
func (s *Store) holds(t *TOC, f frame) bool {
	if s == nil {
		return false
	}
	for _, c := range t.chunksIn(f) {
		if i, ok := s.byDigest[c.digest]; !ok || s.toc.chunks[i].size != c.size {
			return false
		}
	}
	return true
}

// errChanged is returned for a file that is not any more as it was written.
var errChanged = errors.New("it has changed since it was written")

// frame puts the chunks of a frame into buf, or into a larger buffer, each in its place.
// What is between them is undefined.
func (s *Store) frame(t *TOC, f frame, dirs *rootfs.Dirs, buf []byte) ([]byte, error) {
	list := t.chunksIn(f)
	last := list[len(list)-1]
	if n := int(last.inner + last.size); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	for _, c := range list {
		if err := s.chunk(c, dirs, buf[c.inner:c.inner+c.size]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func (s *Store) chunk(want chunk, dirs *rootfs.Dirs, buf []byte) error {
	have := s.toc.chunks[s.byDigest[want.digest]]
	name := s.toc.pathOf(have)
	fd, err := dirs.Open(name, unix.O_RDONLY|unix.O_NONBLOCK) // it may be a FIFO by now
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(fmt.Errorf("%s: %w", name, errChanged), err)
	}
	if err := readChunk(fd, have, buf); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if sha256.Sum256(buf) != want.digest {
		return fmt.Errorf("%s: %w", name, errChanged)
	}
	return nil
}
