package tarball

import (
	"iter"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/paged"
)

// index lists the files that a tarball leaves when it is extracted. There may
// be millions, so each is packed and has no pointers; an [images.Entry] is made
// when it is asked for. Files are known by their numbers; the root's is 0.
type index struct {
	files  paged.List[member]
	texts  paged.Texts // names, and targets of symbolic links
	traits traitList
	names  nameTable
	// order is that of a walk through the archive; nil is that of the numbers.
	order []uint32
	// canonical sorts all files, when it is first called.
	canonical func() *canonicalOrder
	// manifest is the content of the file at [images.ManifestPath]. It is nil
	// if there is none, if it is not a regular file, or if it is too long.
	manifest []byte
}

// member is one file of a tarball.
type member struct {
	at int64 // where in the archive its header begins
	// value depends on the type. It is the size of a regular file; the latest
	// entry in a directory, 0 if it is empty; the place of a symbolic link's
	// target among the texts; the file that a hard link is a name of.
	value   int64
	seconds int64 // of mtime
	nanos   uint32
	dir     uint32 // the directory that it is in; the root is in itself
	next    uint32 // the entry before it in the same directory; 0 is the end
	name    uint32 // its place among the texts
	traits  uint32 // their number
	gone    bool   // a later entry has its name, or it is bookkeeping
}

// file is the file with a number.
func (x *index) file(i uint32) *member { return x.files.At(int(i)) }

// kind is the type of a file.
func (x *index) kind(f *member) images.Type { return x.traits.at(f.traits).Type }

// lookup finds a file by its absolute, clean path.
func (x *index) lookup(p string) (uint32, bool) {
	i, rest := x.descend(p)
	return i, rest == "" && !x.file(i).gone
}

// descend follows a path to the last part that exists, and returns the rest of
// it.
func (x *index) descend(p string) (i uint32, rest string) {
	for rest = p[1:]; rest != ""; {
		name, after, _ := strings.Cut(rest, "/")
		inner, ok := x.find(i, name)
		if !ok {
			break
		}
		i, rest = inner, after
	}
	return i, rest
}

// find looks a name up in a directory.
func (x *index) find(dir uint32, name string) (uint32, bool) {
	i := *x.names.slot(x, dir, name)
	return i, i != 0
}

// path is the path of a file.
func (x *index) path(i uint32) string {
	if i == 0 {
		return "/"
	}
	var parts []uint32
	size := 0
	for ; i != 0; i = x.file(i).dir {
		parts = append(parts, i)
		size += 1 + len(x.texts.At(x.file(i).name))
	}
	p := make([]byte, 0, size)
	for _, i := range slices.Backward(parts) {
		p = append(append(p, '/'), x.texts.At(x.file(i).name)...)
	}
	return string(p)
}

// walk lists all files in the order of the archive, each directory before what
// is in it.
func (x *index) walk() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		count := x.files.Len()
		if x.order != nil {
			count = len(x.order)
		}
		for n := range count {
			i := uint32(n)
			if x.order != nil {
				i = x.order[n]
			}
			if !yield(i) {
				return
			}
		}
	}
}

// children lists what is directly in a directory, in no particular order.
func (x *index) children(dir uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := uint32(x.file(dir).value); i != 0; i = x.file(i).next {
			if !x.file(i).gone && !yield(i) {
				return
			}
		}
	}
}

// entry is the entry of a file.
func (x *index) entry(i uint32) images.Entry { return (&entryMaker{index: x}).entry(i) }

// entryMaker makes entries of an index, for one goroutine. It remembers the
// path of the latest entry's directory, because the next is usually in it too.
type entryMaker struct {
	index *index
	dir   uint32
	above string // the directory's path, with a slash at its end
}

// entry is the entry of a file.
func (t *entryMaker) entry(i uint32) images.Entry {
	e := t.index.pathless(i)
	e.Path = t.path(i, t.index.file(i))
	return e
}

// pathless is the entry of a file without its path.
func (x *index) pathless(i uint32) images.Entry {
	f := x.file(i)
	traits := x.traits.at(f.traits)
	e := images.Entry{
		Type: traits.Type, Mode: traits.mode, UID: traits.uid, GID: traits.gid,
		ModTime: time.Unix(f.seconds, int64(f.nanos)).UTC(), Major: traits.major, Minor: traits.minor, Xattrs: traits.Xattrs,
	}
	switch e.Type {
	case images.Regular:
		e.Size = f.value
	case images.Symlink:
		e.Link = string(x.texts.At(uint32(f.value)))
	case images.HardLink:
		e.Link = x.path(uint32(f.value))
	}
	return e
}

func (t *entryMaker) path(i uint32, f *member) string {
	if i == 0 {
		return "/"
	}
	if t.above == "" || t.dir != f.dir {
		t.dir, t.above = f.dir, strings.TrimSuffix(t.index.path(f.dir), "/")+"/"
	}
	name := t.index.texts.At(f.name)
	p := make([]byte, 0, len(t.above)+len(name))
	return string(append(append(p, t.above...), name...))
}
