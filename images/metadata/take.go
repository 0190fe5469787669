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
	mixed := New(slices.Clone(records))
	for i := range records {
		origin := f
		if taken(records[i].Path) {
			origin = from
		}
		records[i].part(origin, mixed)
	}
	return New(slices.DeleteFunc(records, func(r Record) bool { return r.isDefault() }))
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
