package trees

import (
	"context"
	"fmt"
	"io"
	"slices"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// Snapshot holds all files of a tree and the metadata that would have to be
// recorded for each. It does not know which of the files belong to the image;
// the [Scope] of [Snapshot.File] decides that.
type Snapshot struct {
	files []found // in the order of a walk
}

// found is one file of a snapshot.
type found struct {
	rec    metadata.Record
	needed bool // the file needs a record
	// typ is the type of the file. For a hard link it is the type of its
	// target.
	typ images.Type
	// group is the same number for all names of one file. It is 0 for a file
	// with only one name.
	group int
}

// Scope selects the part of a tree that belongs to its image and to the
// repository of the image. The zero value selects the whole tree.
type Scope struct {
	// Kept reports whether the repository keeps the regular file or symbolic
	// link at a path. Files that it does not keep are left alone. If Kept is
	// nil, all files that are not volatile are kept.
	Kept func(path string) bool
	// Volatile reports whether a path is not part of the image. A kept file is
	// part of the image even so. If Volatile is nil, no path is volatile.
	Volatile func(path string) bool
}

func (s Scope) volatile(p string) bool { return s.Volatile != nil && s.Volatile(p) }

// keeps reports whether a regular file or symbolic link is in the repository.
func (s Scope) keeps(p string) bool {
	if s.Kept != nil {
		return s.Kept(p)
	}
	return !s.volatile(p)
}

// Collect reads a whole source and returns its metadata.
func Collect(ctx context.Context, src images.Source) (metadata.File, error) {
	var c collector
	err := src.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		c.add(&e)
		return ctx.Err()
	})
	if err != nil {
		return metadata.File{}, fmt.Errorf("collect metadata: %w", err)
	}
	return c.snapshot().File(Scope{}), nil
}

// collector makes a snapshot from entries.
type collector struct {
	files  []found
	index  map[string]int // of each path in files
	groups int
}

// add adds one entry. The target of a hard link must have been added before.
func (c *collector) add(e *images.Entry) {
	if images.IsBookkeeping(e.Path) {
		return
	}
	if c.index == nil {
		c.index = map[string]int{}
	}
	if first, ok := c.index[e.Link]; e.Type == images.HardLink && ok {
		c.index[e.Path] = len(c.files)
		c.files = append(c.files, c.link(first, e.Path))
		return
	}
	c.index[e.Path] = len(c.files)
	c.addSingle(e)
}

// addSingle is add for an entry that is neither a hard link nor the target of
// one.
func (c *collector) addSingle(e *images.Entry) {
	rec, needed := metadata.RecordOf(e)
	c.files = append(c.files, found{rec: rec, needed: needed, typ: e.Type})
}

// link returns another name of the file with an index.
func (c *collector) link(first int, p string) found {
	if c.files[first].group == 0 {
		c.groups++
		c.files[first].group = c.groups
	}
	f := c.files[first]
	f.rec.Path = p
	return f
}

// snapshot returns the collected snapshot.
func (c *collector) snapshot() *Snapshot {
	slices.SortFunc(c.files, func(a, b found) int { return images.ComparePaths(a.rec.Path, b.rec.Path) })
	return &Snapshot{files: c.files}
}

// Paths calls visit for every file of the tree, in the order of a walk. For a
// hard link t is the type of its target.
func (s *Snapshot) Paths(visit func(path string, t images.Type)) {
	for i := range s.files {
		visit(s.files[i].rec.Path, s.files[i].typ)
	}
}

// Has reports whether the tree has anything at a path.
func (s *Snapshot) Has(p string) bool {
	_, ok := s.find(p)
	return ok
}

func (s *Snapshot) find(p string) (int, bool) {
	return slices.BinarySearchFunc(s.files, p, func(f found, p string) int { return images.ComparePaths(f.rec.Path, p) })
}

// With returns a snapshot that also has files which the tree lacks, with the
// metadata of from: a repository keeps a file that was removed from the tree
// until it is told so, and may bring it back. The directories that lead to the
// files are added as well.
func (s *Snapshot) With(paths []string, from metadata.File) *Snapshot {
	all := slices.Clone(s.files)
	added := map[string]bool{}
	add := func(p string, t images.Type) {
		if added[p] || s.Has(p) {
			return
		}
		added[p] = true
		rec, recorded := from.Lookup(p)
		rec.Path = p
		if rec.Type != images.HardLink {
			rec.Type = 0
		}
		all = append(all, found{rec: rec, needed: recorded, typ: t})
	}
	for _, p := range paths {
		add(p, images.Regular)
		for up := parent(p); up != "/"; up = parent(up) {
			add(up, images.Directory)
		}
	}
	slices.SortFunc(all, func(a, b found) int { return images.ComparePaths(a.rec.Path, b.rec.Path) })
	return &Snapshot{files: all}
}

// File returns the metadata of the files in scope.
func (s *Snapshot) File(scope Scope) metadata.File {
	v := selection{scope: scope, in: make([]part, len(s.files)), first: map[int]string{}}
	v.sum(s.files)
	for i := range s.files {
		v.record(&s.files[i], v.in[i])
	}
	return metadata.New(v.records)
}

// part says what a scope has of one file of a snapshot.
type part struct {
	volatile bool
	// kept means of a directory that it contains a kept file, so that the
	// repository makes it by itself.
	kept bool
	// other means that a directory contains a file that is neither kept nor
	// volatile: not decided yet.
	other bool
}

// selection selects the records of a snapshot by a scope.
type selection struct {
	scope   Scope
	in      []part         // for each file of the snapshot
	first   map[int]string // the first name in scope of each group
	records []metadata.Record
}

// sum finds the part of the scope that each file is. A directory precedes what
// is in it, so the directories above a file are those on a stack.
func (v *selection) sum(files []found) {
	var above []int
	leave := func() {
		last := len(above) - 1
		if dir := v.in[above[last]]; last > 0 {
			up := &v.in[above[last-1]]
			up.kept, up.other = up.kept || dir.kept, up.other || dir.other
		}
		above = above[:last]
	}
	for i := range files {
		f := &files[i]
		for len(above) > 0 && !isBelow(f.rec.Path, files[above[len(above)-1]].rec.Path) {
			leave()
		}
		v.in[i] = v.look(f)
		switch {
		case f.typ == images.Directory:
			above = append(above, i)
		case metadata.IsNode(f.typ) || len(above) == 0:
		default:
			dir := &v.in[above[len(above)-1]]
			dir.kept, dir.other = dir.kept || v.in[i].kept, dir.other || v.in[i].other
		}
	}
	for len(above) > 0 {
		leave()
	}
}

// look asks the scope about one file by itself.
func (v *selection) look(f *found) (in part) {
	whole := f.typ == images.Directory || metadata.IsNode(f.typ)
	in.kept = !whole && v.scope.keeps(f.rec.Path)
	in.volatile = !in.kept && v.scope.volatile(f.rec.Path)
	in.other = !whole && !in.kept && !in.volatile
	return in
}

// isBelow reports whether a path is in a directory or further below it.
func isBelow(p, dir string) bool {
	return dir == "/" || len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// record adds the record of one file, if it needs one.
func (v *selection) record(f *found, in part) {
	r := f.rec
	switch {
	case f.typ == images.Directory:
		v.folder(f, in)
		return
	case metadata.IsNode(f.typ) && in.volatile:
		return
	case !metadata.IsNode(f.typ) && !in.kept:
		return
	}
	if first, ok := v.first[f.group]; f.group != 0 && ok {
		v.records = append(v.records, metadata.Record{Path: r.Path, Type: images.HardLink, Link: first})
		return
	}
	if f.group != 0 {
		v.first[f.group] = r.Path
	}
	if f.needed {
		v.records = append(v.records, r)
	}
}

// folder adds the record of a directory. If the repository does not make the
// directory by itself, the record has the type Directory.
func (v *selection) folder(f *found, in part) {
	r := f.rec
	switch {
	case r.Path == "/" || r.Path == images.Dir || in.kept: // the metadata file itself keeps its folder
		if f.needed {
			v.records = append(v.records, r)
		}
	case !in.other && !in.volatile:
		r.Type = images.Directory
		v.records = append(v.records, r)
	}
}
