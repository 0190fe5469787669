package tarball

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/filelist"
)

// tree is random access to an archive that is in a file as it is.
type tree struct {
	name  string // in errors
	index *index
	file  *os.File
	size  int64
}

var _ images.Ordered = (*tree)(nil)

// Walk visits the files in canonical order. Contents are read wherever they
// are in the archive, and only if the visit reads them.
func (t *tree) Walk(ctx context.Context, visit images.VisitFunc) error {
	order := t.index.canonical()
	entries := filelist.NewMaker(t.index.List)
	in := plainInput(t.file, 0, t.size, nearSize)
	for _, i := range order.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entries.CanonicalEntry(i, order)
		var content io.Reader
		if e.Type == images.Regular {
			content = &foundContent{tree: t, in: in, path: e.Path, file: t.index.File(t.index.Original(i))}
		}
		if err := visit(e, content); err != nil {
			return err
		}
	}
	return nil
}

// foundContent is the content of a regular file somewhere in the archive. It
// is looked for when it is first read.
type foundContent struct {
	tree *tree
	in   *input
	path string
	file *filelist.File
	r    io.Reader
}

func (c *foundContent) Read(p []byte) (int, error) {
	if c.r == nil {
		if err := c.find(); err != nil {
			return 0, fmt.Errorf("read %s of image %s: %w", c.path, c.tree.name, err)
		}
	}
	return c.r.Read(p)
}

func (c *foundContent) find() error {
	if err := c.in.goTo(c.file.At); err != nil {
		return err
	}
	found := newCursor(c.in)
	_, err := found.content(c.file.At, c.file.Value)
	c.r = found.archive
	return err
}

// find looks a path up.
func (t *tree) find(what, p string) (uint32, error) {
	i, ok := t.index.Lookup(images.CleanPath(p))
	if !ok {
		return 0, t.fail(what, p, fs.ErrNotExist)
	}
	return i, nil
}

func (t *tree) fail(what, p string, err error) error {
	return &fs.PathError{Op: what, Path: p + " of image " + t.name, Err: err}
}

// Entry tells what is at a path. Each name of a file with several is the file
// itself, as in a directory.
func (t *tree) Entry(p string) (images.Entry, error) {
	i, err := t.find("look at", p)
	if err != nil {
		return images.Entry{}, err
	}
	return t.entry(i), nil
}

func (t *tree) entry(i uint32) images.Entry {
	e := t.index.Pathless(t.index.Original(i))
	e.Path = t.index.Path(i)
	return e
}

// ReadDir lists a directory, sorted by name.
func (t *tree) ReadDir(p string) ([]images.Entry, error) {
	dir, err := t.find("list", p)
	if err != nil {
		return nil, err
	}
	if t.index.Kind(t.index.File(dir)) != images.Directory {
		return nil, t.fail("list", p, errors.New("it is not a directory"))
	}
	var list []images.Entry
	for i := range t.index.Children(dir) {
		list = append(list, t.entry(i))
	}
	slices.SortFunc(list, func(a, b images.Entry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// Open reads the regular file at a path, or what a hard link is a name of.
func (t *tree) Open(p string) (io.ReadCloser, error) {
	i, err := t.find("open", p)
	if err != nil {
		return nil, err
	}
	f := t.index.File(t.index.Original(i))
	if t.index.Kind(f) != images.Regular {
		return nil, t.fail("open", p, errors.New("it is not a regular file"))
	}
	cursor := newCursor(plainInput(t.file, f.At, t.size, glanceSize))
	h, err := cursor.content(0, f.Value)
	if err != nil {
		return nil, t.fail("open", p, err)
	}
	if isSparse(h) {
		return io.NopCloser(cursor.archive), nil
	}
	return storedContent{io.NewSectionReader(t.file, f.At+cursor.in.off, f.Value)}, nil
}

// storedContent is the content of a file that is in the archive as it is.
type storedContent struct{ *io.SectionReader }

func (storedContent) Close() error { return nil }
