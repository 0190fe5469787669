//go:build unix

package metadata

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// Scan collects the metadata of the files in a directory, without opening the
// files. An unprivileged user cannot give files to other owners or make
// devices. For such a user, recorded (the metadata from which the directory was
// made) is authoritative for everything that the user cannot have changed.
func Scan(ctx context.Context, dir string, recorded File) (*Snapshot, error) {
	s := scan{inodes: map[inode]string{}, dirs: map[string]bool{}, paths: map[string]bool{}, maker: maker{uid: ownID()}}
	if privileged() {
		recorded = File{}
	} else {
		s.maker.limited = true
	}
	s.recorded = recorded
	w := walker{file: s.file, enter: s.enter}
	if err := w.walk(ctx, dir); err != nil {
		return nil, fmt.Errorf("collect the metadata of %s: %w", dir, err)
	}
	s.absent()
	return s.snapshot(), nil
}

// inode identifies a file with several names.
type inode struct{ dev, ino uint64 }

type scan struct {
	collector
	recorded File
	maker    maker
	inodes   map[inode]string // the first name of each file with several names
	dirs     map[string]bool
	paths    map[string]bool // paths at which a limited user has a file that is not a directory
}

func (s *scan) enter(dir *os.File, p string, st *unix.Stat_t) error {
	if s.maker.limited {
		s.dirs[p] = true
	}
	return s.entry(dir, ".", p, st)
}

func (s *scan) file(dir *os.File, name, p string, st *unix.Stat_t) error {
	if s.maker.limited {
		s.paths[p] = true
	}
	if st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := s.inodes[id]; ok {
			s.add(&images.Entry{Path: p, Type: images.HardLink, Link: first})
			return nil
		}
		s.inodes[id] = p
	}
	return s.entry(dir, name, p, st)
}

func (s *scan) entry(dir *os.File, name, p string, st *unix.Stat_t) error {
	e := entryOf(p, st)
	var err error
	if e.Xattrs, err = xattrsAt(dir, name); err != nil {
		return fmt.Errorf("look at %s: %w", p, err)
	}
	if s.maker.limited {
		rec, ok := s.recorded.Lookup(p)
		s.maker.correct(&e, rec, ok)
	}
	s.add(&e)
	return nil
}

// absent adds the recorded devices that the user could not make, if their
// directory still exists.
func (s *scan) absent() {
	for _, r := range s.recorded.records {
		if isNode(r.Type) && !s.paths[r.Path] && !s.dirs[r.Path] && s.dirs[parent(r.Path)] {
			e := r.entry()
			s.add(&e)
		}
	}
	for _, r := range s.recorded.records { // links to these come after them
		i, ok := s.index[r.Link]
		if r.Type == images.HardLink && ok && isNode(s.files[i].typ) && !s.paths[r.Path] && s.dirs[parent(r.Path)] {
			s.add(&images.Entry{Path: r.Path, Type: images.HardLink, Link: r.Link})
		}
	}
}
