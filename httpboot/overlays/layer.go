package overlays

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// Layer is an overlay as a source: its files and their parent directories,
// which are as the image has them.
type Layer struct {
	Overlay images.Overlay
	Tree    images.Tree // the image
}

var _ images.Source = Layer{}

// Walk implements [images.Source].
func (l Layer) Walk(ctx context.Context, visit images.VisitFunc) error {
	files := slices.Clone(l.Overlay)
	slices.SortFunc(files, func(a, b images.File) int { return strings.Compare(a.Path, b.Path) })
	visited := map[string]bool{}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.parents(path.Dir(f.Path), visited, visit); err != nil {
			return err
		}
		if err := visit(f.Entry, bytes.NewReader(f.Content)); err != nil {
			return err
		}
	}
	return nil
}

func (l Layer) parents(dir string, visited map[string]bool, visit images.VisitFunc) error {
	if visited[dir] {
		return nil
	}
	visited[dir] = true
	if dir != "/" {
		if err := l.parents(path.Dir(dir), visited, visit); err != nil {
			return err
		}
	}
	e, err := l.Tree.Entry(dir)
	if errors.Is(err, fs.ErrNotExist) {
		e = images.Entry{Path: dir, Type: images.Directory, Mode: 0o755}
	} else if err != nil {
		return err
	}
	if e.Type != images.Directory {
		return fmt.Errorf("the overlay has a file in %s, which is no directory in the image", dir)
	}
	return visit(e, nil)
}
