package tarball

import (
	"bytes"
	"slices"

	"cloudlets/images"
)

// canonicalOrder is the order of [images.Ordered].
type canonicalOrder struct {
	list []uint32
	// first has, for each file with several names, the one that comes first in
	// the order, by the file that the index takes the others for links to.
	first map[uint32]uint32
}

// sort puts all files in canonical order.
func (x *index) sort() *canonicalOrder {
	c := &canonicalOrder{first: map[uint32]uint32{}}
	count := 0
	for i := range x.walk() {
		count++
		if f := x.file(i); x.kind(f) == images.HardLink {
			c.first[uint32(f.value)] = 0
		}
	}
	c.list = make([]uint32, 0, count)
	c.add(x, 0)
	return c
}

// add appends a file and, if it is a directory, all that is beneath it.
func (c *canonicalOrder) add(x *index, i uint32) {
	c.list = append(c.list, i)
	if x.kind(x.file(i)) != images.Directory {
		if file := x.original(i); c.hasNoNameYet(file) {
			c.first[file] = i
		}
		return
	}
	inside := slices.Collect(x.children(i))
	slices.SortFunc(inside, func(a, b uint32) int {
		return bytes.Compare(x.texts.At(x.file(a).name), x.texts.At(x.file(b).name))
	})
	for _, child := range inside {
		c.add(x, child)
	}
}

// hasNoNameYet says whether a file has several names, of which none was met.
func (c *canonicalOrder) hasNoNameYet(file uint32) bool {
	name, several := c.first[file]
	return several && name == 0
}

// original is the file itself where i is a hard link, else i.
func (x *index) original(i uint32) uint32 {
	if f := x.file(i); x.kind(f) == images.HardLink {
		return uint32(f.value)
	}
	return i
}

// canonicalEntry is what a walk in canonical order shows of a file: one with
// several names under the first of them, the others as hard links to that.
func (t *entryMaker) canonicalEntry(i uint32, order *canonicalOrder) images.Entry {
	file := t.index.original(i)
	e := t.index.pathless(file)
	e.Path = t.path(i, t.index.file(i))
	if first, several := order.first[file]; several && first != i {
		link := linkTo(e, e.Path)
		link.Link = t.index.path(first)
		return link
	}
	return e
}

// linkTo makes of a file's entry that of a hard link to it at path p. Mode,
// owner and time are the file's, as they are on a disk.
func linkTo(file images.Entry, p string) images.Entry {
	e := file
	e.Path, e.Type, e.Link = p, images.HardLink, file.Path
	e.Size, e.Xattrs, e.Major, e.Minor = 0, nil, 0, 0
	return e
}
