package layers

import (
	"context"
	"io"
	"path"

	"cloudlets/images"
)

// Select is the root of src and the part of it that keep picks by path. A
// directory stays if it holds something that stays. A hard link that stays
// becomes the file if the name that it links to is left out; if src is not a
// tree, it is read a second time for that.
func Select(src images.Source, keep func(path string) bool) images.Source {
	return &selection{src: src, keep: keep}
}

type selection struct {
	src  images.Source
	keep func(path string) bool
}

// Walk visits what is kept, in the order of the source.
func (s *selection) Walk(ctx context.Context, visit images.VisitFunc) error {
	w := &selectWalk{keep: s.keep, visit: visit, waiting: map[string]images.Entry{}}
	return walkWithout(ctx, s.src, rule{drop: w.drop, gone: w.gone}, w.kept)
}

// selectWalk is one walk over a selection.
type selectWalk struct {
	keep  func(path string) bool
	visit images.VisitFunc
	// waiting are directories that are left out unless something in them stays.
	waiting map[string]images.Entry
}

func (w *selectWalk) gone(p string) bool { return p != "/" && !w.keep(p) }

func (w *selectWalk) drop(e images.Entry) (bool, error) {
	if !w.gone(e.Path) {
		return false, nil
	}
	if e.Type == images.Directory {
		w.waiting[e.Path] = e
	}
	return true, nil
}

// kept visits an entry after the directories that it needs.
func (w *selectWalk) kept(e images.Entry, content io.Reader) error {
	if err := w.need(path.Dir(e.Path)); err != nil {
		return err
	}
	return w.visit(e, content)
}

func (w *selectWalk) need(dir string) error {
	e, waits := w.waiting[dir]
	if !waits {
		return nil
	}
	delete(w.waiting, dir)
	return w.kept(e, nil)
}
