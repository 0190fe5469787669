package oci

import (
	"archive/tar"
	"context"
	"fmt"
	"io"

	"cloudlets/images"
	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
)

// scanAhead is how many entries of a layer may wait until those of the layers
// below have been taken.
const scanAhead = 512

// scanned is an entry of a layer that is read ahead.
type scanned struct {
	entry images.Entry
	name  string // as the layer has it, for errors
	at    int
}

// scanning is a layer that is read ahead. When entries is closed, size is the
// number of its unpacked bytes, and err says why it could not be read.
type scanning struct {
	entries chan scanned
	size    int64
	err     error
}

// scan calls add with the entries of all layers, from the lowest layer to the
// highest.
func (im *Image) scan(ctx context.Context, add func(e images.Entry, layer, at int) error) error {
	layers := make([]*scanning, len(im.found.layers))
	for i := range layers {
		layers[i] = &scanning{entries: make(chan scanned, scanAhead)}
	}
	stop := inOrder(ctx, len(layers), func(ctx context.Context, i int) { layers[i].read(ctx, im, i) })
	defer stop()
	left := im.opt.MaxSize
	for i, s := range layers {
		for e := range s.entries {
			if err := add(e.entry, i, e.at); err != nil {
				return im.fail(i, fmt.Errorf("entry %q: %w", e.name, err))
			}
		}
		if left -= s.size; s.err == nil && left < 0 {
			s.err = bounded.TooLarge(im.opt.MaxSize)
		}
		if s.err != nil {
			return im.fail(i, s.err)
		}
	}
	return nil
}

// read reads a layer, and waits while too many entries have not been taken.
func (s *scanning) read(ctx context.Context, im *Image, i int) {
	defer close(s.entries)
	s.size, s.err = im.found.layers[i].each(ctx, im.bundle, im.opt.MaxSize, func(at int, h *tar.Header, _ io.Reader) error {
		e, err := tarball.Entry(h)
		if err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
		select {
		case s.entries <- scanned{e, h.Name, at}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
