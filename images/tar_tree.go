package images

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// tarTree is random access to an archive that is in a file as it is.
type tarTree struct {
	name     string // in errors
	index    *tarIndex
	children map[string][]int32
	file     *os.File
	size     int64
}

var _ Tree = (*tarTree)(nil)

// find looks a path up.
func (t *tarTree) find(what, p string) (*tarFile, error) {
	f, ok := t.index.lookup(inside(p))
	if !ok {
		return nil, t.fail(what, p, fs.ErrNotExist)
	}
	return f, nil
}

func (t *tarTree) fail(what, p string, err error) error {
	return &fs.PathError{Op: what, Path: p + " of image " + t.name, Err: err}
}

// Entry tells what is at a path. What a walk shows as a hard link is one
// here as well.
func (t *tarTree) Entry(p string) (Entry, error) {
	f, err := t.find("look at", p)
	if err != nil {
		return Entry{}, err
	}
	return f.Entry, nil
}

// ReadDir lists a directory, sorted by name.
func (t *tarTree) ReadDir(p string) ([]Entry, error) {
	f, err := t.find("list", p)
	if err != nil {
		return nil, err
	}
	if f.Type != Directory {
		return nil, t.fail("list", p, errors.New("it is not a directory"))
	}
	var list []Entry
	for _, i := range t.children[f.Path] {
		list = append(list, t.index.files[i].Entry)
	}
	return list, nil
}

// Open reads the regular file at a path, or what a hard link is a name of.
func (t *tarTree) Open(p string) (io.ReadCloser, error) {
	f, err := t.find("open", p)
	if err == nil && f.Type == HardLink {
		f, err = t.find("open", f.Link)
	}
	if err != nil {
		return nil, err
	}
	if f.Type != Regular {
		return nil, t.fail("open", p, errors.New("it is not a regular file"))
	}
	cursor := newTarCursor(plainInput(t.file, f.at, t.size, tarGlance))
	place := *f
	place.at = 0
	h, err := cursor.content(&place)
	if err != nil {
		return nil, t.fail("open", p, err)
	}
	if isSparse(h) {
		return io.NopCloser(cursor.archive), nil
	}
	return tarContent{io.NewSectionReader(t.file, f.at+cursor.in.off, f.Size)}, nil
}

// tarContent is the content of a file that is in the archive as it is.
type tarContent struct{ *io.SectionReader }

func (tarContent) Close() error { return nil }
