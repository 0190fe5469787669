package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"cloudlets/images"
	"cloudlets/images/filelist"
)

// Walk visits the image's files. Directories and other entries without content
// come first, sorted by path; then come the files of each layer. The first walk
// reads all layers twice.
func (im *Image) Walk(ctx context.Context, visit images.VisitFunc) error {
	list, err := im.listing(ctx)
	if err != nil {
		return err
	}
	entries := filelist.NewMaker(list.files)
	for _, i := range list.bare {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entries.CanonicalEntry(i, list.order)
		var none io.Reader
		if e.Type == images.Regular {
			none = strings.NewReader("")
		}
		if err := visit(e, none); err != nil {
			return err
		}
	}
	var needed []int
	for i, files := range list.contents {
		if len(files) > 0 {
			needed = append(needed, i)
		}
	}
	ahead := im.unpackAhead(ctx, needed)
	defer ahead.stop()
	for n, i := range needed {
		files := list.contents[i]
		if err := im.contents(ahead.layers[n], i, &layerWalk{listing: list, entries: entries, left: files, visit: visit}); err != nil {
			return err
		}
	}
	return nil
}

// Paths calls yield with the path of each file, sorted by bytes.
func (im *Image) Paths(ctx context.Context, yield func(path string) error) error {
	list, err := im.listing(ctx)
	if err != nil {
		return err
	}
	return list.files.Paths(ctx, yield)
}

// visitError passes a visitor's error through unchanged.
type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }

// layerWalk visits the files of one layer.
type layerWalk struct {
	*listing
	entries *filelist.Maker
	left    []uint32 // the files that were not visited yet
	visit   images.VisitFunc
}

// next visits the file at an index of the layer under all of its names, if it
// is part of the image.
func (w *layerWalk) next(layer, at int, h *tar.Header, r io.Reader) error {
	if len(w.left) == 0 || w.position(w.left[0]) != position(layer, at) {
		return nil
	}
	if h.Size != w.files.File(w.files.Original(w.left[0])).Value {
		return errDamaged // the file was different in the first pass
	}
	for len(w.left) > 0 && w.position(w.left[0]) == position(layer, at) {
		if err := w.visit(w.entries.CanonicalEntry(w.left[0], w.order), r); err != nil {
			return &visitError{err}
		}
		w.left, r = w.left[1:], nil
	}
	return nil
}

// contents visits the files of one layer, whose tarball plain reads.
func (im *Image) contents(plain io.Reader, i int, w *layerWalk) error {
	err := entries(plain, func(at int, h *tar.Header, r io.Reader) error {
		return w.next(i, at, h, r)
	})
	var own *visitError
	switch {
	case errors.As(err, &own):
		return own.err
	case err == nil && len(w.left) > 0:
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
	if err := im.scan(ctx, f.add); err != nil {
		return nil, err
	}
	im.list = f.list(len(im.found.layers))
	return im.list, nil
}
