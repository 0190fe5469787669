package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/images/manifest"
)

// Image is a view of a root filesystem and its manifest. The files behind it
// may change; use [Image.Fingerprint] to notice that.
type Image struct {
	// Name is the name of the image's folder or file, without ".tar" and
	// anything after it.
	Name string
	// Path is the path from which the image was opened.
	Path     string
	Manifest *manifest.Manifest
	// Source provides the image's files, including the manifest.
	Source Source
}

// MaxManifest is the maximum length of a manifest in bytes.
const MaxManifest = jsontext.MaxSize

// ErrNotCloudlet means that the source has no manifest.
var ErrNotCloudlet = errors.New("not a cloudlet")

// New makes an image from a source and reads its manifest. path is the place
// where the source was found; its last part becomes the image's name. If the
// source has no manifest, the error is [ErrNotCloudlet]. On success the image
// owns src, and [Image.Close] closes it. On failure the caller must close src.
func New(ctx context.Context, path string, src Source) (*Image, error) {
	im := &Image{Name: imageName(path), Path: path, Source: src}
	text, err := readManifest(ctx, src)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open image %s: %w: it has no %s; write one, \"{}\" is enough to begin with", path, ErrNotCloudlet, ManifestPath)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest of %s: %w", im.Name, err)
	}
	im.Manifest, err = manifest.Parse(im.Name, text)
	if err != nil {
		return nil, err
	}
	return im, nil
}

// ManifestReader is an optional interface of a [Source] that can provide its
// manifest without a walk. If there is no manifest, the error satisfies
// errors.Is(err, fs.ErrNotExist).
type ManifestReader interface {
	Manifest(ctx context.Context) ([]byte, error)
}

// readManifest reads the manifest of a source in the cheapest way that the
// source offers.
func readManifest(ctx context.Context, src Source) ([]byte, error) {
	switch s := src.(type) {
	case ManifestReader:
		return s.Manifest(ctx)
	case Tree:
		return ReadManifest(s)
	}
	return findFile(ctx, src, ManifestPath)
}

// ReadManifest returns the text of the manifest in a tree.
func ReadManifest(t Tree) ([]byte, error) { return ReadFile(t, ManifestPath, MaxManifest) }

// findFile returns the content of one regular file of a source. It walks the
// source only until it has found the file.
func findFile(ctx context.Context, src Source, p string) ([]byte, error) {
	var text []byte
	errFound := errors.New("found")
	err := src.Walk(ctx, func(e Entry, content io.Reader) error {
		if e.Path != p || e.Type != Regular {
			return nil
		}
		if e.Size > MaxManifest {
			return fmt.Errorf("read %s: it is longer than the %d bytes allowed", p, MaxManifest)
		}
		var err error
		if text, err = io.ReadAll(content); err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		return errFound
	})
	switch {
	case errors.Is(err, errFound):
		return text, nil
	case err == nil:
		return nil, fs.ErrNotExist
	}
	return nil, err
}

// Orderable is an optional interface of a [Source] that can become an [Ordered]
// tree. For this a source such as a compressed tarball unpacks itself into a
// temporary file, which exists until the source is closed.
type Orderable interface {
	Tree(ctx context.Context) (Ordered, error)
}

// Tree gives random access to the image's files, and walks them in canonical
// order. For this the image's source may have to unpack itself, see [Order].
// The tree can be used until [Image.Close].
func (im *Image) Tree(ctx context.Context) (Ordered, error) {
	tree, err := Order(ctx, im.Source)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", im.Name, err)
	}
	return tree, nil
}

// Order gives a source the canonical order. A directory or a revision has it
// already. A tarball is read at random by its index; one that is compressed or
// comes from a stream is unpacked into a temporary file first, and so are the
// layers of a container image. [ErrNoOrder] says that a source can do neither.
func Order(ctx context.Context, src Source) (Ordered, error) {
	switch s := src.(type) {
	case Orderable:
		return s.Tree(ctx)
	case Ordered:
		return s, nil
	}
	return nil, ErrNoOrder
}

// ErrNoOrder says that a source can only be read from end to end.
var ErrNoOrder = errors.New("its files cannot be read in any order: unpack it into a directory first")

// Close closes the image's source and removes any temporary file that
// [Image.Tree] made.
func (im *Image) Close() error {
	if c, ok := im.Source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Fingerprinter is an optional interface of a [Source] that can identify its
// content cheaply. Fingerprints serve as keys of caches. They have 64
// hexadecimal digits.
type Fingerprinter interface {
	Fingerprint(ctx context.Context) (string, error)
}

// Fingerprint identifies the image's content cheaply, as a key for caches. For
// a tarball it depends on the size, time and inode of the file; for a directory
// it depends on the same facts of every file inside. It has 64 hexadecimal
// digits.
func (im *Image) Fingerprint(ctx context.Context) (string, error) {
	if f, ok := im.Source.(Fingerprinter); ok {
		return f.Fingerprint(ctx)
	}
	return "", fmt.Errorf("identify image %s: its source has no fingerprint", im.Name)
}

// imageName returns the last part of a path without the extensions of a
// tarball.
func imageName(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	base := filepath.Base(path)
	if i := strings.LastIndex(base, ".tar"); i > 0 && (i+4 == len(base) || base[i+4] == '.') {
		return base[:i]
	}
	for _, suffix := range []string{".tgz", ".txz", ".tzst", ".tbz2", ".cloudlet"} {
		if name := strings.TrimSuffix(base, suffix); name != "" && name != base {
			return name
		}
	}
	return base
}
