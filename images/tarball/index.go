package tarball

import (
	"iter"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/paged"
)

// index is what is in a tarball in the end. It may list millions of files,
// so what it has of each is packed, without a pointer in it: an [images.Entry] is
// made where one is asked for. Files are known by their numbers; the root's
// is 0.
type index struct {
	files  paged.List[member]
	texts  paged.Texts // names, and targets of symbolic links
	traits traitList
	names  nameTable
	// order is that of a walk; nil is that of the numbers, of all files.
	order []uint32
	// canonical sorts all files, when it is first called.
	canonical func() *canonicalOrder
	// manifest is the content of the file at ManifestPath, where there is
	// one, it is a regular file and not too long: nil is none.
	manifest []byte
}

// member is one file of a tarball.
type member struct {
	at int64 // where in the archive its header begins
	// value is of a regular file its size, of a directory the latest file in
	// it (0 is none), of a symbolic link its target's place among the texts,
	// of a hard link the file that it is a name of.
	value   int64
	seconds int64 // of mtime
	nanos   uint32
	dir     uint32 // that it is in; of the root the root
	next    uint32 // the file in the same directory before it; 0 is none
	name    uint32 // its place among the texts
	traits  uint32 // their number
	gone    bool   // something else has its name now, or it is bookkeeping
}

// file is the one of a number.
func (x *index) file(i uint32) *member { return x.files.At(int(i)) }

// kind is the type of a file.
func (x *index) kind(f *member) images.Type { return x.traits.at(f.traits).Type }

// lookup finds a file by its path, which is absolute and clean.
func (x *index) lookup(p string) (uint32, bool) {
	i, rest := x.descend(p)
	return i, rest == "" && !x.file(i).gone
}

// descend follows a path as far as there are files, and tells what is left of
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

// path is where a file is.
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

// walk lists all files, a directory before what is in it.
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

// children lists what is directly in a directory, in no order.
func (x *index) children(dir uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := uint32(x.file(dir).value); i != 0; i = x.file(i).next {
			if !x.file(i).gone && !yield(i) {
				return
			}
		}
	}
}

// entry is all that a tarball tells of a file.
func (x *index) entry(i uint32) images.Entry { return (&entryMaker{index: x}).entry(i) }

// entryMaker makes entries of an index, for one goroutine. It keeps the path
// of the latest one's directory, which most often is that of the next, too.
type entryMaker struct {
	index *index
	dir   uint32
	above string // the directory's path, with a slash at its end
}

// entry is one of them.
func (t *entryMaker) entry(i uint32) images.Entry {
	e := t.index.pathless(i)
	e.Path = t.path(i, t.index.file(i))
	return e
}

// pathless is all that a tarball tells of a file, without its path.
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
