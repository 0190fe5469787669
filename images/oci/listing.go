package oci

import (
	"cmp"
	"slices"
	"sort"

	"cloudlets/images"
	"cloudlets/images/filelist"
)

// listing holds the final files of an image in the order of a walk.
type listing struct {
	files *filelist.List
	order *filelist.Order
	// bare are the directories and all other entries without content, including
	// hard links to them, sorted by path.
	bare []uint32
	// contents are the files with content, for each layer in the order of the
	// layer. All names of a file stand together, sorted by path.
	contents [][]uint32
}

// list returns the listing of the flattened image.
func (f *flattener) list(layers int) *listing {
	for _, p := range images.BookkeepingPaths() {
		if i, ok := f.Lookup(p); ok {
			f.File(i).Gone = true
		}
	}
	f.Seal()
	l := &listing{files: f.List, order: f.Sort(), contents: make([][]uint32, layers)}
	all := l.order.Files
	slices.SortStableFunc(all, func(a, b uint32) int { return cmp.Compare(l.position(a), l.position(b)) })
	l.bare, all = split(all, func(i uint32) bool { return l.position(i) < 0 })
	for n := range l.contents {
		l.contents[n], all = split(all, func(i uint32) bool { return l.position(i) < position(n+1, 0) })
	}
	return l
}

// split cuts a list behind the last file that belongs to its first part.
func split(files []uint32, first func(uint32) bool) (a, b []uint32) {
	n := sort.Search(len(files), func(n int) bool { return !first(files[n]) })
	return files[:n:n], files[n:]
}

// position says where the content of a file is. It is negative if there is
// none.
func (l *listing) position(i uint32) int64 {
	f := l.files.File(l.files.Original(i))
	if l.files.Kind(f) != images.Regular || f.Value == 0 {
		return -1
	}
	return f.At
}
