package vcs

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"cloudlets/images"
)

// OnAttributes returns a source that calls check at the end of each walk that finds
// a .gitattributes, until check has returned nil once. The walk returns the error of
// check. So a search for what a repository left in an image costs no pass over the
// files of an image that comes from no repository. A source that is [images.Ordered]
// stays so.
func OnAttributes(s images.Source, check func(context.Context) error) images.Source {
	w := &attributesWatch{Source: s, check: check}
	if tree, ok := s.(images.Ordered); ok {
		return orderedWatch{tree, w}
	}
	return w
}

// orderedWatch is a watched source that is a tree, too.
type orderedWatch struct {
	images.Ordered
	watch *attributesWatch
}

// Walk implements [images.Source].
func (w orderedWatch) Walk(ctx context.Context, visit images.VisitFunc) error {
	return w.watch.Walk(ctx, visit)
}

type attributesWatch struct {
	images.Source
	check func(context.Context) error
	done  atomic.Bool // a whole walk was good
}

// Walk implements [images.Source].
func (w *attributesWatch) Walk(ctx context.Context, visit images.VisitFunc) error {
	if w.done.Load() {
		return w.Source.Walk(ctx, visit)
	}
	found := false
	err := w.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		found = found || strings.HasSuffix(e.Path, "/"+attributesName)
		return visit(e, content)
	})
	if err == nil && found {
		err = w.check(ctx)
	}
	w.done.Store(err == nil)
	return err
}
