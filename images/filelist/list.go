// Package filelist lists the files of an image in little memory: less than 100
// bytes for a file with a short name. The images of archives stand on it.
package filelist

import (
	"iter"
	"time"

	"cloudlets/images"
	"cloudlets/images/paged"
)

// Cost is about how many bytes of memory a file takes besides its name and the
// target of a symbolic link.
const Cost = 72

// List lists files, each in a directory of the list. There may be millions, so
// each is packed and has no pointers; an [images.Entry] is made when it is asked
// for. Files are known by their numbers; the root's is 0.
type List struct {
	files  paged.List[File]
	texts  paged.Texts // names, and targets of symbolic links
	traits traitList
	names  nameTable
}

// File is one file of a list.
type File struct {
	At int64 // where its content is; the caller decides what it means
	// Value depends on the type. It is the size of a regular file; the latest
	// entry in a directory, 0 if it is empty; the place of a symbolic link's
	// target among the texts; the file that a hard link is a name of.
	Value   int64
	seconds int64 // of mtime
	nanos   uint32
	Dir     uint32 // the directory that it is in; the root is in itself
	next    uint32 // the entry before it in the same directory; 0 is the end
	name    uint32 // its place among the texts
	traits  uint32 // their number
	Gone    bool   // it was removed, or a later file has its name
}

// ImpliedDirectory is a directory that an archive does not name but that a path
// needs.
func ImpliedDirectory(p string) images.Entry {
	return images.Entry{Path: p, Type: images.Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}
}

// New returns a list that holds only the root.
func New() *List {
	l := &List{names: newNameTable()}
	root, _ := l.Describe(ImpliedDirectory("/"), 0, 0)
	l.files.Add(root)
	return l
}

// Describe packs an entry without its path. For a hard link, of is the file
// that it is a name of. cost is how many bytes of memory it took besides [Cost]
// and its texts.
func (l *List) Describe(e images.Entry, of uint32, at int64) (f File, cost int64) {
	f = File{At: at, seconds: e.ModTime.Unix(), nanos: uint32(e.ModTime.Nanosecond())}
	switch e.Type {
	case images.Regular:
		f.Value = e.Size
	case images.Symlink:
		f.Value = int64(l.texts.Add(e.Link))
	case images.HardLink:
		f.Value = int64(of)
	}
	f.traits, cost = l.traits.add(&e)
	return f, cost
}

// Add gives a file a name in a directory, and returns its number. A file that
// has the name is gone, and all that is in it can no longer be found.
func (l *List) Add(f File, dir uint32, name string) uint32 {
	l.names.reserve(l)
	slot := l.names.slot(l, dir, name)
	if *slot == 0 {
		f.name = l.texts.Add(name)
		l.names.used++
	} else {
		old := l.File(*slot)
		old.Gone, f.name = true, old.name
	}
	*slot = l.put(f, dir)
	return *slot
}

// put adds a file to a directory.
func (l *List) put(f File, dir uint32) uint32 {
	i := uint32(l.files.Len())
	in := l.File(dir)
	f.Dir, f.next = dir, uint32(in.Value)
	in.Value = int64(i)
	l.files.Add(f)
	return i
}

// Renew gives a directory the mode, owner, time and attributes of another.
func (l *List) Renew(dir uint32, as File) {
	f := l.File(dir)
	f.traits, f.seconds, f.nanos = as.traits, as.seconds, as.nanos
}

// Inherit makes a hard link the file that it is a name of.
func (l *List) Inherit(link uint32) {
	f := l.File(link)
	dead := l.File(uint32(f.Value))
	f.At, f.Value, f.traits, f.seconds, f.nanos = dead.At, dead.Value, dead.traits, dead.seconds, dead.nanos
}

// Remove removes those entries of a directory that drop says yes to.
func (l *List) Remove(dir uint32, drop func(i uint32) bool) {
	var first, last uint32
	for i := uint32(l.File(dir).Value); i != 0; i = l.File(i).next {
		f := l.File(i)
		if f.Gone = f.Gone || drop(i); f.Gone {
			continue
		}
		if last == 0 {
			first = i
		} else {
			l.File(last).next = i
		}
		last = i
	}
	if last != 0 {
		l.File(last).next = 0
	}
	l.File(dir).Value = int64(first)
}

// Seal frees what is needed only to add files.
func (l *List) Seal() { l.traits.numbers = nil }

// File is the file with a number. It stays where it is.
func (l *List) File(i uint32) *File { return l.files.At(int(i)) }

// Len is how many files there are, those that are gone included.
func (l *List) Len() int { return l.files.Len() }

// Kind is the type of a file.
func (l *List) Kind(f *File) images.Type { return l.traits.at(f.traits).Type }

// Target is what a symbolic link names.
func (l *List) Target(f *File) string { return string(l.texts.At(uint32(f.Value))) }

// Original is the file itself if i is a hard link, else i.
func (l *List) Original(i uint32) uint32 {
	if f := l.File(i); l.Kind(f) == images.HardLink {
		return uint32(f.Value)
	}
	return i
}

// Children lists what is directly in a directory, in no particular order.
func (l *List) Children(dir uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := uint32(l.File(dir).Value); i != 0; i = l.File(i).next {
			if !l.File(i).Gone && !yield(i) {
				return
			}
		}
	}
}
