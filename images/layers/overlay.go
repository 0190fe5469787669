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

// Overlaid is src with the overlay's files. One that src has is replaced in
// its place, whatever kind of file it was, unless it is a directory; its
// other hard links keep what they were. New files come sorted, with the
// directories that they need: root's, mode 0755, of the file's time. Where src
// is a [images.Tree] they come right after the directory that they are in, and the
// result is a Tree too; otherwise they come last.
func Overlay(src images.Source, o images.Overlay) images.Source {
	s := &overlaid{src: src, files: map[string]images.File{}, above: map[string]images.File{}}
	for _, f := range o {
		f.Path, f.Size, f.Link = images.CleanPath(f.Path), int64(len(f.Content)), ""
		s.files[f.Path] = f
	}
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		for dir := path.Dir(p); ; dir = path.Dir(dir) {
			if _, ok := s.above[dir]; !ok {
				s.above[dir] = s.files[p]
			}
			if dir == "/" {
				break
			}
		}
	}
	if tree, ok := src.(images.Tree); ok {
		s.tree = tree
		return &overlaidTree{s}
	}
	return s
}

// overlaid is a source with an overlay on it.
type overlaid struct {
	src   images.Source
	tree  images.Tree // the source, if it is one
	files map[string]images.File
	above map[string]images.File // the directories of files, and for whose sake each
}

// Walk visits the source and the overlay.
func (s *overlaid) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range s.files {
		if f.Type != images.Regular {
			return fmt.Errorf("overlay: %s is not a regular file", f.Path)
		}
	}
	added, err := s.added()
	if err != nil {
		return err
	}
	w := &overlayWalk{overlaid: s, visit: visit, added: added, types: map[string]images.Type{}}
	if err := walkWithout(ctx, s.src, w.replace, w.gone, w.pass); err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		if err := w.add(s.files[p]); err != nil {
			return err
		}
	}
	return nil
}

// added lists the files that a tree does not have, by the directory of the
// tree that they are in or beneath.
func (s *overlaid) added() (map[string][]images.File, error) {
	if s.tree == nil {
		return nil, nil
	}
	in := map[string][]images.File{}
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		dir := p
		_, err := s.tree.Entry(dir)
		for errors.Is(err, fs.ErrNotExist) && dir != "/" {
			dir = path.Dir(dir)
			_, err = s.tree.Entry(dir)
		}
		if err != nil {
			return nil, err
		}
		if dir != p {
			in[dir] = append(in[dir], s.files[p])
		}
	}
	return in, nil
}

// directory is the one that a new file needs where the source has none.
func (s *overlaid) directory(p string) (images.Entry, bool) {
	f, ok := s.above[p]
	return images.Entry{Path: p, Type: images.Directory, Mode: 0o755, ModTime: f.ModTime}, ok
}

// overlayWalk is one walk; types tells of what was visited what matters for
// new files: the overlay's own, and the directories above them.
type overlayWalk struct {
	*overlaid
	visit images.VisitFunc
	added map[string][]images.File // to be visited after these directories
	types map[string]images.Type
}

// replace puts a file of the overlay in the place of the source's.
func (w *overlayWalk) replace(e images.Entry) (bool, error) {
	f, ok := w.files[e.Path]
	if !ok {
		return false, nil
	}
	if e.Type == images.Directory {
		return false, errDirectory(e.Path)
	}
	return true, w.put(f)
}

func (w *overlayWalk) gone(p string) bool { _, ok := w.files[p]; return ok }

func errDirectory(p string) error {
	return fmt.Errorf("overlay: %s is a directory in the image, and a file cannot take its place", p)
}

// pass visits what the overlay leaves alone.
func (w *overlayWalk) pass(e images.Entry, content io.Reader) error {
	if _, ok := w.above[e.Path]; ok {
		w.types[e.Path] = e.Type
	}
	if err := w.visit(e, content); err != nil {
		return err
	}
	for _, f := range w.added[e.Path] {
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *overlayWalk) put(f images.File) error {
	w.types[f.Path] = images.Regular
	return w.visit(f.Entry, bytes.NewReader(f.Content))
}

// add visits a file that was not in the source, after its directories.
func (w *overlayWalk) add(f images.File) error {
	if _, there := w.types[f.Path]; there {
		return nil
	}
	if err := w.need(path.Dir(f.Path), f.Path); err != nil {
		return err
	}
	return w.put(f)
}

// need sees to it that there is the directory dir for the file p.
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

var (
	_ images.Source = (*overlaidTree)(nil)
	_ images.Tree   = (*overlaidTree)(nil)
)

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
	if _, ok := t.above[p]; !ok {
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
	for name := range t.above {
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
