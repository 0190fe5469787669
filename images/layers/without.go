package layers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/images"
)

// walkWithout walks src and leaves out the entries that drop says yes to, who
// decides by the path; of what is no directory gone says the same again. A
// hard link that stays while the file it names is left out becomes that file,
// and later links to the file become links to it; for the content src is then
// read again, and these come last.
func walkWithout(ctx context.Context, src images.Source, drop func(images.Entry) (bool, error), gone func(path string) bool, visit images.VisitFunc) error {
	w := &withoutWalk{drop: drop, gone: gone, visit: visit, files: map[string]string{}, orphans: map[string][]images.Entry{}}
	if err := src.Walk(ctx, w.first); err != nil {
		return err
	}
	return w.adopt(ctx, src)
}

type withoutWalk struct {
	drop    func(images.Entry) (bool, error)
	gone    func(path string) bool
	visit   images.VisitFunc
	files   map[string]string         // what the hard links name that are left out or wait, by their paths
	orphans map[string][]images.Entry // hard links to what was left out, by its path
}

// first visits what stays on the first pass.
func (w *withoutWalk) first(e images.Entry, content io.Reader) error {
	if e.Type == images.HardLink {
		if file, ok := w.files[e.Link]; ok { // a link to a link
			e.Link = file
		}
	}
	gone, err := w.drop(e)
	orphan := e.Type == images.HardLink && w.gone(e.Link)
	if e.Type == images.HardLink && (gone || orphan) {
		w.files[e.Path] = e.Link
	}
	switch {
	case err != nil:
		return err
	case gone:
		return nil
	case orphan:
		w.orphans[e.Link] = append(w.orphans[e.Link], e)
		return nil
	}
	return w.visit(e, content)
}

// errAdopted ends the second pass early.
var errAdopted = errors.New("every link has its file")

// adopt visits the hard links whose file was left out, the first of each as
// that file.
func (w *withoutWalk) adopt(ctx context.Context, src images.Source) error {
	if len(w.orphans) == 0 {
		return nil
	}
	err := src.Walk(ctx, func(e images.Entry, content io.Reader) error {
		links := w.orphans[e.Path]
		if len(links) == 0 {
			return nil
		}
		delete(w.orphans, e.Path)
		e.Path = links[0].Path
		if err := w.visit(e, content); err != nil {
			return err
		}
		for _, link := range links[1:] {
			link.Link = e.Path
			if err := w.visit(link, nil); err != nil {
				return err
			}
		}
		if len(w.orphans) == 0 {
			return errAdopted
		}
		return nil
	})
	if err != nil && !errors.Is(err, errAdopted) {
		return err
	}
	for lost := range w.orphans {
		return fmt.Errorf("%s was there on the first pass and not on the second: the image changes while it is read; use a copy of it", lost)
	}
	return nil
}
