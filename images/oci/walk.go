package oci

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/tarball"
)

// listing holds the final files of an image in the order of a walk.
type listing struct {
	// bare are the directories and all other entries without content, including
	// hard links to them, sorted by path.
	bare []images.Entry
	// contents are the files with content, for each layer in the order of the
	// layer.
	contents [][]content
}

// content is a file with content and its other names.
type content struct {
	images.Entry
	at    int // its index in the layer
	links []images.Entry
}

// Walk visits the image's files. Directories and other entries without content
// come first, sorted by path; then come the files of each layer. The first walk
// reads all layers twice.
func (im *Image) Walk(ctx context.Context, visit images.VisitFunc) error {
	list, err := im.listing(ctx)
	if err != nil {
		return err
	}
	for _, e := range list.bare {
		if err := ctx.Err(); err != nil {
			return err
		}
		var none io.Reader
		if e.Type == images.Regular {
			none = strings.NewReader("")
		}
		if err := visit(e, none); err != nil {
			return err
		}
	}
	for i, files := range list.contents {
		if len(files) == 0 {
			continue
		}
		if err := im.contents(ctx, i, files, visit); err != nil {
			return err
		}
	}
	return nil
}

// visitError passes a visitor's error through unchanged.
type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }

// contents visits the files of one layer.
func (im *Image) contents(ctx context.Context, i int, files []content, visit images.VisitFunc) error {
	_, err := im.found.layers[i].each(ctx, im.bundle, im.opt.MaxSize, func(at int, h *tar.Header, r io.Reader) error {
		if len(files) == 0 || files[0].at != at {
			return nil
		}
		f := files[0]
		files = files[1:]
		if h.Size != f.Size {
			return errDamaged // the file was different in the first pass
		}
		if err := visit(f.Entry, r); err != nil {
			return &visitError{err}
		}
		for _, link := range f.links {
			if err := visit(link, nil); err != nil {
				return &visitError{err}
			}
		}
		return nil
	})
	var own *visitError
	switch {
	case errors.As(err, &own):
		return own.err
	case err == nil && len(files) > 0:
		err = errDamaged
	}
	return im.fail(i, err)
}

// fail adds the name of the layer to an error.
func (im *Image) fail(i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read layer %d of %d (%s) of container image %s: %w", i+1, len(im.found.layers), im.found.layers[i], im.name, err)
}

// listing determines the files of the image. It does so only once.
func (im *Image) listing(ctx context.Context) (*listing, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.list != nil {
		return im.list, nil
	}
	f := newFlattener(im.opt.MaxSize)
	left := im.opt.MaxSize
	for i, l := range im.found.layers {
		n, err := l.each(ctx, im.bundle, left, func(at int, h *tar.Header, _ io.Reader) error {
			e, err := tarball.Entry(h)
			if err == nil {
				err = f.add(e, i, at)
			}
			if err != nil {
				return fmt.Errorf("entry %q: %w", h.Name, err)
			}
			return nil
		})
		if err != nil {
			return nil, im.fail(i, err)
		}
		left -= n
	}
	im.list = f.list(len(im.found.layers))
	return im.list, nil
}

// list returns the listing of the flattened image.
func (f *flattener) list(layers int) *listing {
	l := &lister{places: map[*file]*content{}, listing: &listing{contents: make([][]content, layers)}}
	l.visit("/", f.root)
	files := slices.SortedFunc(maps.Values(l.places), func(a, b *content) int { return cmp.Compare(a.at, b.at) })
	layerOf := make(map[*content]int, len(files))
	for file, c := range l.places {
		layerOf[c] = file.layer
	}
	for _, c := range files {
		i := layerOf[c]
		l.listing.contents[i] = append(l.listing.contents[i], *c)
	}
	return l.listing
}

// lister walks the tree in the order of paths. If a file has several names, the
// first is the file and the others become links to it.
type lister struct {
	*listing
	places map[*file]*content // of files with content
	names  map[*file]string   // the first name of each file without content
}

func (l *lister) visit(p string, n *node) {
	if images.IsBookkeeping(p) {
		return
	}
	l.add(p, n)
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		l.visit(path.Join(p, name), n.children[name])
	}
}

func (l *lister) add(p string, n *node) {
	e := n.file.Entry
	e.Path = p
	if e.Type == images.Regular && e.Size > 0 {
		if c, ok := l.places[n.file]; ok {
			c.links = append(c.links, linkTo(e, c.Path))
			return
		}
		l.places[n.file] = &content{Entry: e, at: n.file.at}
		return
	}
	if !n.isDir() {
		if l.names == nil {
			l.names = map[*file]string{}
		}
		if first, ok := l.names[n.file]; ok {
			e = linkTo(e, first)
		} else {
			l.names[n.file] = p
		}
	}
	l.bare = append(l.bare, e)
}

// linkTo returns an entry for another name of a file.
func linkTo(e images.Entry, first string) images.Entry {
	e.Type, e.Link, e.Size, e.Xattrs = images.HardLink, first, 0, nil
	e.Major, e.Minor = 0, 0
	return e
}
