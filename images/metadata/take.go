package metadata

import (
	"slices"

	"cloudlets/images"
)

// Take returns f with the metadata of another file for some paths. For each
// path that taken reports, the result has what from says, which is the default
// if from has no record of the path. A name that would become a hard link to a
// file with other metadata gets the same metadata by itself instead.
func (f File) Take(from File, taken func(path string) bool) File {
	var records []Record
	for i := range f.records {
		if !taken(f.records[i].Path) {
			records = append(records, f.records[i])
		}
	}
	for i := range from.records {
		if taken(from.records[i].Path) {
			records = append(records, from.records[i])
		}
	}
	mixed := newFile(slices.Clone(records))
	for i := range records {
		origin := f
		if taken(records[i].Path) {
			origin = from
		}
		records[i].part(origin, mixed)
	}
	return newFile(slices.DeleteFunc(records, func(r Record) bool { return r.isDefault() }))
}

// part turns a hard link from one file into a record of its own, unless the
// link leads to the same metadata in another file.
func (r *Record) part(origin, other File) {
	if r.Type != images.HardLink {
		return
	}
	meant, _ := origin.Lookup(r.Link)
	is, _ := other.Lookup(r.Link)
	if is.Type != images.HardLink && (is.isDefault() && meant.isDefault() || is.text() == meant.text()) {
		return
	}
	if meant.Type == images.HardLink { // only a file that a person wrote has such a chain
		meant = Record{Mode: 0o600, HasMode: true}
	}
	meant.Path = r.Path
	*r = meant
}

// isDefault reports whether a file without a record has the same metadata.
func (r *Record) isDefault() bool {
	return r.Type == 0 && r.UID == 0 && r.GID == 0 && !r.HasMode && len(r.Xattrs) == 0
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
func (s *Snapshot) With(paths []string, from File) *Snapshot {
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
