//go:build unix

package trees

import (
	"context"
	"fmt"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// Scan collects the metadata of the files in a directory, without opening the
// files. An unprivileged user cannot give files to other owners or make
// devices. For such a user, recorded (the metadata from which the directory was
// made) is authoritative for everything that the user cannot have changed.
//
// The marks show later whether the tree has changed. They take much memory.
func Scan(ctx context.Context, dir string, recorded metadata.File) (*Snapshot, *Marks, error) {
	s := scan{inodes: map[inode]string{}, dirs: map[string]bool{}, paths: map[string]bool{}, maker: maker{uid: ownID()}}
	if privileged() {
		recorded = metadata.File{}
	} else {
		s.maker.limited = true
	}
	s.recorded = recorded
	tree, files, err := list(ctx, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("collect the metadata of %s: %w", dir, err)
	}
	s.files = make([]found, 0, files)
	s.directory(tree)
	listed := len(s.files)
	s.absent()
	if len(s.files) == listed {
		return &Snapshot{files: s.files}, &Marks{tree}, nil // a listing has the order of a walk
	}
	return s.snapshot(), &Marks{tree}, nil
}

type scan struct {
	collector
	recorded metadata.File
	maker    maker
	inodes   map[inode]string // the first name of each file with several names
	dirs     map[string]bool
	paths    map[string]bool // paths at which a limited user has a file that is not a directory
}

// directory adds a directory and what is in it.
func (s *scan) directory(l *listing) {
	if s.maker.limited {
		s.dirs[l.dir.Path] = true
	}
	s.entry(&l.dir, true)
	for i := range l.files {
		if f := &l.files[i]; f.inside != nil {
			s.directory(f.inside)
		} else {
			s.file(f)
		}
	}
}

func (s *scan) file(f *listed) {
	if s.maker.limited {
		s.paths[f.Path] = true
	}
	several := f.inode != inode{}
	if several {
		if first, ok := s.inodes[f.inode]; ok {
			s.add(&images.Entry{Path: f.Path, Type: images.HardLink, Link: first})
			return
		}
		s.inodes[f.inode] = f.Path
	}
	s.entry(&f.Entry, !several)
}

// entry adds one file. single means that nothing in the tree is a hard link to
// it; only a record may be then.
func (s *scan) entry(e *images.Entry, single bool) {
	if s.maker.limited {
		rec, ok := s.recorded.Lookup(e.Path)
		s.maker.correct(e, rec, ok)
	}
	if single && !s.maker.limited {
		s.addSingle(e)
		return
	}
	s.add(e)
}

// absent adds the recorded devices that the user could not make, if their
// directory still exists.
func (s *scan) absent() {
	for _, r := range s.recorded.Records() {
		if metadata.IsNode(r.Type) && !s.paths[r.Path] && !s.dirs[r.Path] && s.dirs[parent(r.Path)] {
			e := r.Entry()
			s.add(&e)
		}
	}
	for _, r := range s.recorded.Records() { // links to these come after them
		i, ok := s.index[r.Link]
		if r.Type == images.HardLink && ok && metadata.IsNode(s.files[i].typ) && !s.paths[r.Path] && s.dirs[parent(r.Path)] {
			s.add(&images.Entry{Path: r.Path, Type: images.HardLink, Link: r.Link})
		}
	}
}
