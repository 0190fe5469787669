package tarball

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"cloudlets/images"
)

// tarTree is random access to an archive that is in a file as it is.
type tarTree struct {
	name  string // in errors
	index *tarIndex
	file  *os.File
	size  int64
}

var _ images.Tree = (*tarTree)(nil)

// find looks a path up.
func (t *tarTree) find(what, p string) (uint32, error) {
	i, ok := t.index.lookup(images.CleanPath(p))
	if !ok {
		return 0, t.fail(what, p, fs.ErrNotExist)
	}
	return i, nil
}

func (t *tarTree) fail(what, p string, err error) error {
	return &fs.PathError{Op: what, Path: p + " of image " + t.name, Err: err}
}

// Entry tells what is at a path. What a walk shows as a hard link is one
// here as well.
func (t *tarTree) Entry(p string) (images.Entry, error) {
	i, err := t.find("look at", p)
	if err != nil {
		return images.Entry{}, err
	}
	return t.index.entry(i), nil
}

// ReadDir lists a directory, sorted by name.
func (t *tarTree) ReadDir(p string) ([]images.Entry, error) {
	dir, err := t.find("list", p)
	if err != nil {
		return nil, err
	}
	if t.index.kind(t.index.file(dir)) != images.Directory {
		return nil, t.fail("list", p, errors.New("it is not a directory"))
	}
	var list []images.Entry
	entries := tarEntries{index: t.index}
	for i := range t.index.children(dir) {
		list = append(list, entries.entry(i))
	}
	slices.SortFunc(list, func(a, b images.Entry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// Open reads the regular file at a path, or what a hard link is a name of.
func (t *tarTree) Open(p string) (io.ReadCloser, error) {
	i, err := t.find("open", p)
	if err != nil {
		return nil, err
	}
	f := t.index.file(i)
	if t.index.kind(f) == images.HardLink {
		f = t.index.file(uint32(f.value))
	}
	if t.index.kind(f) != images.Regular {
		return nil, t.fail("open", p, errors.New("it is not a regular file"))
	}
	cursor := newTarCursor(plainInput(t.file, f.at, t.size, tarGlance))
	h, err := cursor.content(0, f.value)
	if err != nil {
		return nil, t.fail("open", p, err)
	}
	if isSparse(h) {
		return io.NopCloser(cursor.archive), nil
	}
	return tarContent{io.NewSectionReader(t.file, f.at+cursor.in.off, f.value)}, nil
}

// tarContent is the content of a file that is in the archive as it is.
type tarContent struct{ *io.SectionReader }

func (tarContent) Close() error { return nil }
