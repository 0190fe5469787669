// Package layers is the algebra of sources: it puts files on top of one, leaves
// some out, or gives one a manifest. An [images.Ordered] keeps its order.
package layers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// Overlay is src with the overlay's files. A file of the overlay takes the
// place of what src has at its path, unless that is a directory; other names of
// a file that is replaced keep its content. Files that are new come with the
// directories that they need: root's, mode 0755, of the file's time. If src is
// an [images.Ordered], each is visited in its place of the canonical order, and
// the result is an [images.Ordered] too; otherwise new files come last.
func Overlay(src images.Source, o images.Overlay) images.Source {
	s := &overlaid{src: src, files: map[string]images.File{}, parents: map[string]images.File{}}
	for _, f := range o {
		f.Path, f.Size = images.CleanPath(f.Path), int64(len(f.Content))
		if f.Type != images.Symlink {
			f.Link = ""
		}
		s.files[f.Path] = f
	}
	for _, p := range s.paths() {
		for dir := path.Dir(p); ; dir = path.Dir(dir) {
			if _, ok := s.parents[dir]; !ok {
				s.parents[dir] = s.files[p]
			}
			if dir == "/" {
				break
			}
		}
	}
	if tree, ok := src.(images.Ordered); ok {
		s.tree = tree
		return &overlaidTree{s}
	}
	return s
}

// overlaid is a source with an overlay on it.
type overlaid struct {
	src   images.Source
	tree  images.Ordered // the source, if it is one
	files map[string]images.File
	// parents are the directories above the overlay's files, each with the
	// file that it is made for if the source does not have it.
	parents map[string]images.File
}

// paths are those of the overlay's files in canonical order.
func (s *overlaid) paths() []string {
	return slices.SortedFunc(maps.Keys(s.files), images.ComparePaths)
}

// Walk visits the source and the overlay.
func (s *overlaid) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range s.files {
		if f.Type != images.Regular && f.Type != images.Symlink {
			return fmt.Errorf("overlay: %s is neither a regular file nor a symbolic link", f.Path)
		}
	}
	w := &overlayWalk{overlaid: s, visit: visit, todo: s.paths(), types: map[string]images.Type{}}
	if err := walkWithout(ctx, s.src, rule{drop: w.replace, gone: w.gone}, w.pass); err != nil {
		return err
	}
	for _, p := range w.todo {
		if err := w.add(s.files[p]); err != nil {
			return err
		}
	}
	return nil
}

// directory is the one that a new file needs if the source does not have it.
func (s *overlaid) directory(p string) (images.Entry, bool) {
	f, ok := s.parents[p]
	return images.Entry{Path: p, Type: images.Directory, Mode: 0o755, ModTime: f.ModTime}, ok
}

// overlayWalk is one walk.
type overlayWalk struct {
	*overlaid
	visit images.VisitFunc
	// todo are the paths of the overlay that the walk is not past.
	todo []string
	// types has what was visited, of the overlay's files and of the
	// directories above them.
	types map[string]images.Type
}

// replace puts a file of the overlay in the place of the source's. In an
// ordered source it first visits the new files that belong before the entry.
func (w *overlayWalk) replace(e images.Entry) (bool, error) {
	if err := w.addBefore(e.Path); err != nil {
		return false, err
	}
	f, ok := w.files[e.Path]
	if !ok {
		return false, nil
	}
	if e.Type == images.Directory {
		return false, errDirectory(e.Path)
	}
	return true, w.put(f)
}

// addBefore visits the new files before a path of an ordered source.
func (w *overlayWalk) addBefore(p string) error {
	for w.tree != nil && len(w.todo) > 0 && images.ComparePaths(w.todo[0], p) < 0 {
		if err := w.add(w.files[w.todo[0]]); err != nil {
			return err
		}
		w.todo = w.todo[1:]
	}
	return nil
}

func (w *overlayWalk) gone(p string) bool { _, ok := w.files[p]; return ok }

func errDirectory(p string) error {
	return fmt.Errorf("overlay: %s is a directory in the image, and a file cannot take its place", p)
}

// pass visits what the overlay leaves alone.
func (w *overlayWalk) pass(e images.Entry, content io.Reader) error {
	if _, ok := w.parents[e.Path]; ok {
		w.types[e.Path] = e.Type
	}
	return w.visit(e, content)
}

func (w *overlayWalk) put(f images.File) error {
	w.types[f.Path] = f.Type
	if f.Type == images.Symlink {
		return w.visit(f.Entry, nil)
	}
	return w.visit(f.Entry, bytes.NewReader(f.Content))
}

// add visits a file of the overlay after its directories, unless it took the
// place of another.
func (w *overlayWalk) add(f images.File) error {
	if _, there := w.types[f.Path]; there {
		return nil
	}
	if err := w.need(path.Dir(f.Path), f.Path); err != nil {
		return err
	}
	return w.put(f)
}

// need visits the directory dir, which the file at p is in, unless it is there
// already.
func (w *overlayWalk) need(dir, p string) error {
	switch w.types[dir] {
	case images.Directory:
		return nil
	case 0:
	default:
		return fmt.Errorf("overlay: %s is in %s, which is not a directory in the image", p, dir)
	}
	if dir != "/" {
		if err := w.need(path.Dir(dir), p); err != nil {
			return err
		}
	}
	w.types[dir] = images.Directory
	e, _ := w.directory(dir)
	return w.visit(e, nil)
}

// overlaidTree is a tree with an overlay on it.
type overlaidTree struct{ *overlaid }

var _ images.Ordered = (*overlaidTree)(nil)

// Entry tells what is at a path.
func (t *overlaidTree) Entry(p string) (images.Entry, error) {
	p = images.CleanPath(p)
	if f, ok := t.files[p]; ok {
		return f.Entry, nil
	}
	e, err := t.tree.Entry(p)
	if dir, ok := t.directory(p); ok && errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return images.Entry{}, err
	}
	return t.unlinked(e)
}

// unlinked shows a hard link as the file itself where the overlay has
// something else in that file's place.
func (t *overlaidTree) unlinked(e images.Entry) (images.Entry, error) {
	if _, replaced := t.files[e.Link]; e.Type != images.HardLink || !replaced {
		return e, nil
	}
	file, err := t.tree.Entry(e.Link)
	file.Path = e.Path
	return file, err
}

// ReadDir lists a directory with what the overlay has in it, sorted by name.
func (t *overlaidTree) ReadDir(p string) ([]images.Entry, error) {
	p = images.CleanPath(p)
	list, err := t.tree.ReadDir(p)
	if _, ok := t.parents[p]; !ok {
		return t.all(list, err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e images.Entry) bool { _, ok := t.files[e.Path]; return ok })
	have := map[string]bool{}
	for _, e := range list {
		have[e.Path] = true
	}
	for name, f := range t.files {
		if name != "/" && path.Dir(name) == p {
			list = append(list, f.Entry)
		}
	}
	for name := range t.parents {
		if dir, _ := t.directory(name); name != "/" && path.Dir(name) == p && !have[name] {
			list = append(list, dir)
		}
	}
	slices.SortFunc(list, func(a, b images.Entry) int { return strings.Compare(a.Path, b.Path) })
	return t.all(list, nil)
}

// all shows each entry of a list as Entry does.
func (t *overlaidTree) all(list []images.Entry, err error) ([]images.Entry, error) {
	for i := range list {
		if err == nil {
			list[i], err = t.unlinked(list[i])
		}
	}
	return list, err
}

// Open reads the regular file at a path.
func (t *overlaidTree) Open(p string) (io.ReadCloser, error) {
	if f, ok := t.files[images.CleanPath(p)]; ok {
		return io.NopCloser(bytes.NewReader(f.Content)), nil
	}
	return t.tree.Open(p)
}
