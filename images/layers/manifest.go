package layers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"cloudlets/images"
)

// WithManifest is src with a manifest that is kept apart from it, in the
// place of any that src has. It can do what src can: be closed, become a
// tree, and be identified cheaply.
func WithManifest(src images.Source, manifest []byte) images.Source {
	d := &described{Source: Overlay(src, manifestOverlay(manifest)), base: src, manifest: manifest}
	if tree, ok := d.Source.(images.Tree); ok {
		return describedTree{described: d, Tree: tree}
	}
	return d
}

// described is a source with its manifest.
type described struct {
	images.Source
	base     images.Source
	manifest []byte
}

// describedTree is a tree with its manifest.
type describedTree struct {
	*described
	images.Tree
}

// manifestOverlay puts a manifest where it belongs. It has no time of its
// own: the same manifest gives the same image.
func manifestOverlay(text []byte) images.Overlay {
	return images.Overlay{{
		Entry:   images.Entry{Path: images.ManifestPath, Type: images.Regular, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0).UTC()},
		Content: text,
	}}
}

// Manifest is the manifest.
func (d *described) Manifest(context.Context) ([]byte, error) { return d.manifest, nil }

// Tree is random access to the files, the manifest among them.
func (d *described) Tree(ctx context.Context) (images.Tree, error) {
	base, ok := d.base.(images.Treer)
	if !ok {
		return nil, errors.New("read image: its source does not support random access to files; unpack it into a directory first")
	}
	tree, err := base.Tree(ctx)
	if err != nil {
		return nil, err
	}
	both := struct {
		images.Source
		images.Tree
	}{d.base, tree}
	return Overlay(both, manifestOverlay(d.manifest)).(images.Tree), nil
}

// Fingerprint identifies the files and the manifest.
func (d *described) Fingerprint(ctx context.Context) (string, error) {
	base, ok := d.base.(images.Fingerprinter)
	if !ok {
		return "", errors.New("identify image: its source has no fingerprint")
	}
	sum, err := base.Fingerprint(ctx)
	if err != nil {
		return "", err
	}
	both := sha256.Sum256(append([]byte(sum), d.manifest...))
	return hex.EncodeToString(both[:]), nil
}

// Close closes the source.
func (d *described) Close() error {
	if c, ok := d.base.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
