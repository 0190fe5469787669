package metadata

import (
	"context"
	"fmt"
	"io"
	"slices"

	"cloudlets/images"
)

// Snapshot is what a look at a tree has found: all of its files, with what
// would have to be recorded of each. It does not say yet which of them belong
// to the image: [Snapshot.File] is told that.
type Snapshot struct {
	files []found // in the order of a walk
}

// found is one file of a snapshot.
type found struct {
	rec Record
	odd bool // something must be recorded of it
	// typ is what the file is; a hard link is what it is a link to.
	typ images.Type
	// group is the same for all names of one file, and 0 for a file with one.
	group int
}

// Scope says which part of a tree its image, and the repository that keeps
// the image, are about. The zero value is all of it.
type Scope struct {
	// Kept says whether the repository keeps the regular file or symbolic
	// link at a path. nil is every one of them that is not volatile. What it
	// does not keep is left alone.
	Kept func(path string) bool
	// Volatile says whether a path is no part of the image, unless it is kept
	// all the same. nil is none.
	Volatile func(path string) bool
}

func (s Scope) volatile(p string) bool { return s.Volatile != nil && s.Volatile(p) }

// keeps says whether a regular file or a symbolic link is in the repository.
func (s Scope) keeps(p string) bool {
	if s.Kept != nil {
		return s.Kept(p)
	}
	return !s.volatile(p)
}

// Collect reads all of a source and is what the metadata file has to say
// of it.
func Collect(ctx context.Context, src images.Source) (File, error) {
	var c collector
	err := src.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		c.add(&e)
		return ctx.Err()
	})
	if err != nil {
		return File{}, fmt.Errorf("collect metadata: %w", err)
	}
	return c.snapshot().File(Scope{}), nil
}

// collector makes a snapshot of entries.
type collector struct {
	files  []found
	index  map[string]int // of each path in files
	groups int
}

// add takes over one entry. The one that a hard link names came before.
func (c *collector) add(e *images.Entry) {
	if images.IsBookkeeping(e.Path) {
		return
	}
	if c.index == nil {
		c.index = map[string]int{}
	}
	rec, odd := recordOf(e)
	f := found{rec: rec, odd: odd, typ: e.Type}
	if first, ok := c.index[e.Link]; e.Type == images.HardLink && ok {
		f = c.link(first, e.Path)
	}
	c.index[e.Path] = len(c.files)
	c.files = append(c.files, f)
}

// link is another name of the file with an index.
func (c *collector) link(first int, p string) found {
	if c.files[first].group == 0 {
		c.groups++
		c.files[first].group = c.groups
	}
	f := c.files[first]
	f.rec.Path = p
	return f
}

// snapshot ends the collection.
func (c *collector) snapshot() *Snapshot {
	slices.SortFunc(c.files, func(a, b found) int { return images.ComparePaths(a.rec.Path, b.rec.Path) })
	return &Snapshot{files: c.files}
}

// Paths calls visit for every file of the tree in the order of a walk, with
// its type; a hard link is what it is a link to.
func (s *Snapshot) Paths(visit func(path string, t images.Type)) {
	for i := range s.files {
		visit(s.files[i].rec.Path, s.files[i].typ)
	}
}

// File is the metadata of what is in scope.
func (s *Snapshot) File(scope Scope) File {
	v := selection{scope: scope, folders: map[string]holds{}, first: map[int]string{}}
	for i := range s.files {
		v.count(&s.files[i])
	}
	for i := len(s.files) - 1; i >= 0; i-- {
		v.pass(&s.files[i])
	}
	for i := range s.files {
		v.record(&s.files[i])
	}
	return newFile(v.records)
}

// holds is what there is beneath a directory.
type holds struct {
	kept  bool // what the repository keeps, so that the directory is made anyway
	other bool // what is neither kept nor volatile: it is not decided yet
}

// selection goes through a snapshot with a scope.
type selection struct {
	scope   Scope
	folders map[string]holds
	first   map[int]string // the first name in scope, of each group
	records []Record
}

// count notes in which directories there are files.
func (v *selection) count(f *found) {
	if f.typ != images.Regular && f.typ != images.Symlink {
		return
	}
	h := v.folders[parent(f.rec.Path)]
	if v.scope.keeps(f.rec.Path) {
		h.kept = true
	} else if !v.scope.volatile(f.rec.Path) {
		h.other = true
	}
	v.folders[parent(f.rec.Path)] = h
}

// pass lets a directory's parent know; those deeper down come first.
func (v *selection) pass(f *found) {
	if f.typ != images.Directory || f.rec.Path == "/" {
		return
	}
	h, up := v.folders[f.rec.Path], v.folders[parent(f.rec.Path)]
	v.folders[parent(f.rec.Path)] = holds{kept: h.kept || up.kept, other: h.other || up.other}
}

// record takes over what must be recorded of one file.
func (v *selection) record(f *found) {
	r := f.rec
	switch {
	case f.typ == images.Directory:
		v.folder(f)
		return
	case isNode(f.typ) && v.scope.volatile(r.Path):
		return
	case !isNode(f.typ) && !v.scope.keeps(r.Path):
		return
	}
	if first, ok := v.first[f.group]; f.group != 0 && ok {
		v.records = append(v.records, Record{Path: r.Path, Type: images.HardLink, Link: first})
		return
	}
	v.first[f.group] = r.Path
	if f.odd {
		v.records = append(v.records, r)
	}
}

// folder records a directory: one that the repository does not make by itself
// is recorded as a directory.
func (v *selection) folder(f *found) {
	r, h := f.rec, v.folders[f.rec.Path]
	switch {
	case r.Path == "/" || r.Path == images.Dir || h.kept: // the metadata file itself keeps its folder
		if f.odd {
			v.records = append(v.records, r)
		}
	case !h.other && !v.scope.volatile(r.Path):
		r.Type = images.Directory
		v.records = append(v.records, r)
	}
}
