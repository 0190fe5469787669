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
// may change; [Image.Fingerprint] tells.
type Image struct {
	// Name is what its folder or file is called, without ".tar" and what follows.
	Name string
	// Path is where it was opened.
	Path     string
	Manifest *manifest.Manifest
	// Source has the image's files, the manifest among them.
	Source Source
}

// MaxManifest is how long a manifest may be, in bytes.
const MaxManifest = jsontext.MaxSize

// ErrNotCloudlet says that there is no manifest in what was opened.
var ErrNotCloudlet = errors.New("not a cloudlet")

// New makes an image of a source and reads the manifest in it. The path is
// where the source was found; its last part names the image.
// [ErrNotCloudlet] says that there is no manifest. The image's [Image.Close]
// closes src; if New fails, the caller does.
func New(ctx context.Context, path string, src Source) (*Image, error) {
	im := &Image{Name: imageName(path), Path: path, Source: src}
	text, err := readManifest(ctx, src)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open image %s: %w: no %s in it; write one there, \"{}\" is enough to begin with", path, ErrNotCloudlet, ManifestPath)
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

// ManifestReader is what a [Source] may be besides: it knows its manifest
// without a walk. The error satisfies errors.Is(err, fs.ErrNotExist) if there
// is none.
type ManifestReader interface {
	Manifest(ctx context.Context) ([]byte, error)
}

// readManifest reads the manifest that is in a source.
func readManifest(ctx context.Context, src Source) ([]byte, error) {
	switch s := src.(type) {
	case ManifestReader:
		return s.Manifest(ctx)
	case Tree:
		return ReadManifest(s)
	}
	return findFile(ctx, src, ManifestPath)
}

// ReadManifest reads the text of the manifest in a tree.
func ReadManifest(t Tree) ([]byte, error) { return ReadFile(t, ManifestPath, MaxManifest) }

// findFile reads one regular file of a source, which it reads that far.
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

// Orderable is what a [Source] may be besides: it can become an [Ordered] tree.
// For a compressed tarball and the like it unpacks itself into a temporary
// file, until it is closed.
type Orderable interface {
	Tree(ctx context.Context) (Ordered, error)
}

// Tree is random access to the image's files, and a walk in canonical order.
// The image's source may have to unpack itself for it, see [Order]. It lasts
// until [Image.Close].
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

// Close lets go of the image's source, and of what [Image.Tree] unpacked.
func (im *Image) Close() error {
	if c, ok := im.Source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Fingerprinter is what a [Source] may be besides: it identifies its content
// cheaply, for the keys of caches, by 64 hexadecimal digits.
type Fingerprinter interface {
	Fingerprint(ctx context.Context) (string, error)
}

// Fingerprint identifies the image's content cheaply, for the keys of
// caches: of a tarball by its file's size, time and inode; of a directory by
// those of all that is in it. It is 64 hexadecimal digits.
func (im *Image) Fingerprint(ctx context.Context) (string, error) {
	if f, ok := im.Source.(Fingerprinter); ok {
		return f.Fingerprint(ctx)
	}
	return "", fmt.Errorf("identify image %s: its source cannot be identified cheaply", im.Name)
}

// imageName is the last part of a path without the endings of a tarball.
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
