package layers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/images"
)

// rule decides which entries of a source are left out.
type rule struct {
	// drop decides about an entry by its path, when the walk comes to it.
	drop func(images.Entry) (bool, error)
	// gone decides about a path, at any time. For anything but a directory it
	// must agree with drop.
	gone func(path string) bool
}

// walkWithout walks src and leaves out what the rule drops. A hard link that
// stays while the file it names is left out becomes that file, and later links
// to the file become links to it. If src is a tree, all entries keep their
// places. Otherwise src is read a second time for the contents of such links,
// and they come last.
func walkWithout(ctx context.Context, src images.Source, r rule, visit images.VisitFunc) error {
	w := &walkRest{rule: r, visit: visit, targets: map[string]string{}, orphans: map[string][]images.Entry{}, heirs: map[string]string{}}
	w.tree, _ = src.(images.Tree)
	if err := src.Walk(ctx, w.entry); err != nil {
		return err
	}
	return w.adopt(ctx, src)
}

// walkRest is one walk over what a rule leaves of a source.
type walkRest struct {
	rule
	tree  images.Tree // the source, if it is one
	visit images.VisitFunc
	// targets has what a hard link names that is left out or waits, by the
	// link's path.
	targets map[string]string
	// orphans are hard links that wait for the content of a file that was left
	// out, by that file's path.
	orphans map[string][]images.Entry
	// heirs has the hard link that became the file, by the path of the file
	// that was left out.
	heirs map[string]string
}

// entry visits an entry if it stays.
func (w *walkRest) entry(e images.Entry, content io.Reader) error {
	gone, err := w.drop(e)
	switch {
	case err != nil:
		return err
	case e.Type == images.HardLink:
		return w.link(e, gone)
	case gone:
		return nil
	}
	return w.visit(e, content)
}

// link visits a hard link if it stays, as a file if its file does not.
func (w *walkRest) link(e images.Entry, gone bool) error {
	if file, ok := w.targets[e.Link]; ok { // a link to a link
		e.Link = file
	}
	orphan := w.gone(e.Link)
	if gone || orphan {
		w.targets[e.Path] = e.Link
	}
	switch {
	case gone:
		return nil
	case !orphan:
		return w.visit(e, nil)
	case w.tree != nil:
		return w.inherit(e)
	}
	w.orphans[e.Link] = append(w.orphans[e.Link], e)
	return nil
}

// inherit visits a hard link whose file was left out: the first as that file,
// the others as links to the first.
func (w *walkRest) inherit(e images.Entry) error {
	if heir, ok := w.heirs[e.Link]; ok {
		e.Link = heir
		return w.visit(e, nil)
	}
	w.heirs[e.Link] = e.Path
	lost := e.Link
	file, err := fileAt(w.tree, lost)
	if err != nil {
		return err
	}
	file.Path = e.Path
	if file.Type != images.Regular {
		return w.visit(file, nil)
	}
	content, err := w.tree.Open(lost)
	if err != nil {
		return err
	}
	return errors.Join(w.visit(file, content), content.Close())
}

// fileAt is the entry at a path or, if that is a hard link, of the file that
// it is a name of.
func fileAt(t images.Tree, p string) (images.Entry, error) {
	e, err := t.Entry(p)
	if err == nil && e.Type == images.HardLink {
		e, err = t.Entry(e.Link)
	}
	return e, err
}

// errAdopted ends the second pass early.
var errAdopted = errors.New("every link has its file")

// adopt reads src again for the hard links that wait, and visits the first of
// each file as that file, the others as links to the first.
func (w *walkRest) adopt(ctx context.Context, src images.Source) error {
	if len(w.orphans) == 0 {
		return nil
	}
	err := src.Walk(ctx, w.adoptFrom)
	if err != nil && !errors.Is(err, errAdopted) {
		return err
	}
	for lost := range w.orphans {
		return fmt.Errorf("%s was there on the first pass and not on the second: the image changes while it is read; use a copy of it", lost)
	}
	return nil
}

func (w *walkRest) adoptFrom(e images.Entry, content io.Reader) error {
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
}
