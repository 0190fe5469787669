package filelist

import (
	"bytes"
	"slices"

	"cloudlets/images"
)

// Order is the order of [images.Ordered].
type Order struct {
	// Files has the numbers of all files that are not gone.
	Files []uint32
	// first has, for each file with several names, the one that comes first in
	// the order, by the file that the list takes the others for links to.
	first map[uint32]uint32
}

// Sort puts all files in canonical order.
func (l *List) Sort() *Order {
	o := &Order{first: map[uint32]uint32{}}
	count := 0
	for i := range l.files.Len() {
		f := l.files.At(i)
		if f.Gone {
			continue
		}
		if count++; l.Kind(f) == images.HardLink {
			o.first[uint32(f.Value)] = 0
		}
	}
	o.Files = make([]uint32, 0, count)
	o.add(l, 0)
	return o
}

// add appends a file and, if it is a directory, all that is beneath it.
func (o *Order) add(l *List, i uint32) {
	o.Files = append(o.Files, i)
	if l.Kind(l.File(i)) != images.Directory {
		if file := l.Original(i); o.hasNoNameYet(file) {
			o.first[file] = i
		}
		return
	}
	inside := slices.Collect(l.Children(i))
	slices.SortFunc(inside, func(a, b uint32) int { return bytes.Compare(l.Name(a), l.Name(b)) })
	for _, child := range inside {
		o.add(l, child)
	}
}

// hasNoNameYet says whether a file has several names, of which none was met.
func (o *Order) hasNoNameYet(file uint32) bool {
	name, several := o.first[file]
	return several && name == 0
}

// CanonicalEntry is what a walk in canonical order shows of a file: one with
// several names under the first of them, the others as hard links to that.
func (m *Maker) CanonicalEntry(i uint32, order *Order) images.Entry {
	file := m.list.Original(i)
	e := m.list.Pathless(file)
	e.Path = m.path(i, m.list.File(i))
	if first, several := order.first[file]; several && first != i {
		link := LinkTo(e, e.Path)
		link.Link = m.list.Path(first)
		return link
	}
	return e
}
