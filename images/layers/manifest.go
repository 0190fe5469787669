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
// place of any that src has. It can do what src can: be closed, be walked in
// canonical order, and be identified cheaply.
func WithManifest(src images.Source, manifest []byte) images.Source {
	return &described{Source: Overlay(src, manifestOverlay(manifest)), base: src, manifest: manifest}
}

// described is a source with its manifest.
type described struct {
	images.Source
	base     images.Source
	manifest []byte
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
func (d *described) Tree(ctx context.Context) (images.Ordered, error) {
	base, err := images.Order(ctx, d.base)
	if err != nil {
		return nil, err
	}
	return Overlay(base, manifestOverlay(d.manifest)).(images.Ordered), nil
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
