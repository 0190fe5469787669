package filelist

import (
	"slices"
	"strings"
	"time"

	"cloudlets/images"
)

// Lookup finds a file by its absolute, clean path. It follows no symbolic
// links.
func (l *List) Lookup(p string) (i uint32, ok bool) {
	ok = true
	for rest := p[1:]; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if i, ok = l.Find(i, name); !ok {
			return 0, false
		}
	}
	return i, true
}

// Find looks a name up in a directory.
func (l *List) Find(dir uint32, name string) (i uint32, ok bool) {
	i = *l.names.slot(l, dir, name)
	return i, i != 0 && !l.File(i).Gone
}

// Path is the path of a file.
func (l *List) Path(i uint32) string {
	if i == 0 {
		return "/"
	}
	var parts []uint32
	size := 0
	for ; i != 0; i = l.File(i).Dir {
		parts = append(parts, i)
		size += 1 + len(l.Name(i))
	}
	p := make([]byte, 0, size)
	for _, i := range slices.Backward(parts) {
		p = append(append(p, '/'), l.Name(i)...)
	}
	return string(p)
}

// Name is the last part of a file's path, which nobody may write to.
func (l *List) Name(i uint32) []byte { return l.texts.At(l.File(i).name) }

// Entry is the entry of a file.
func (l *List) Entry(i uint32) images.Entry { return NewMaker(l).Entry(i) }

// Maker makes entries of a list, for one goroutine. It remembers the path of
// the latest entry's directory, because the next is usually in it too.
type Maker struct {
	list  *List
	dir   uint32
	above string // the directory's path, with a slash at its end
}

// NewMaker makes entries of a list.
func NewMaker(l *List) *Maker { return &Maker{list: l} }

// Entry is the entry of a file.
func (m *Maker) Entry(i uint32) images.Entry {
	e := m.list.Pathless(i)
	e.Path = m.path(i, m.list.File(i))
	return e
}

// Pathless is the entry of a file without its path.
func (l *List) Pathless(i uint32) images.Entry {
	f := l.File(i)
	traits := l.traits.at(f.traits)
	e := images.Entry{
		Type: traits.Type, Mode: traits.mode, UID: traits.uid, GID: traits.gid,
		ModTime: time.Unix(f.seconds, int64(f.nanos)).UTC(), Major: traits.major, Minor: traits.minor, Xattrs: traits.Xattrs,
	}
	switch e.Type {
	case images.Regular:
		e.Size = f.Value
	case images.Symlink:
		e.Link = l.Target(f)
	case images.HardLink:
		e.Link = l.Path(uint32(f.Value))
	}
	return e
}

func (m *Maker) path(i uint32, f *File) string {
	if i == 0 {
		return "/"
	}
	if m.above == "" || m.dir != f.Dir {
		m.dir, m.above = f.Dir, strings.TrimSuffix(m.list.Path(f.Dir), "/")+"/"
	}
	name := m.list.texts.At(f.name)
	p := make([]byte, 0, len(m.above)+len(name))
	return string(append(append(p, m.above...), name...))
}

// LinkTo makes of a file's entry that of a hard link to it at path p. Mode,
// owner and time are the file's, as they are on a disk.
func LinkTo(file images.Entry, p string) images.Entry {
	e := file
	e.Path, e.Type, e.Link = p, images.HardLink, file.Path
	e.Size, e.Xattrs, e.Major, e.Minor = 0, nil, 0, 0
	return e
}
