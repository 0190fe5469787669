package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Image is a view of a root filesystem and its manifest. The files behind it
// may change; [Image.Fingerprint] tells.
type Image struct {
	// Name is what its folder or file is called, without ".tar" and what follows.
	Name string
	// Path is where it was opened.
	Path     string
	Manifest *Manifest
	// Source has the image's files, the manifest among them.
	Source Source

	// apart is a manifest that was kept apart from its filesystem, and base
	// is that filesystem: Source is the two together. nil is none.
	apart []byte
	base  Source
}

// ErrNotCloudlet says that there is no manifest in what was opened.
var ErrNotCloudlet = errors.New("not a cloudlet")

// Open opens a directory or a tarball as an image and reads its manifest.
func Open(ctx context.Context, path string) (*Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	switch {
	case info.IsDir():
		dir, err := NewDirSource(path)
		if err != nil {
			return nil, err
		}
		return New(ctx, path, dir, nil)
	case info.Mode().IsRegular():
		return New(ctx, path, NewTarSource(path), nil)
	}
	return nil, fmt.Errorf("open image %s: it is neither a directory nor a tarball", path)
}

// New makes an image of a source. The path is where that was found; its last
// part names the image. Where the manifest is kept apart from the filesystem,
// its text is given, and takes the place of any in src; nil reads the one in
// src. [ErrNotCloudlet] says that there is none. The image's [Image.Close]
// closes src; where New fails, the caller does.
func New(ctx context.Context, path string, src Source, manifest []byte) (*Image, error) {
	im := &Image{Name: imageName(path), Path: path, Source: src}
	text, err := manifest, error(nil)
	if manifest == nil {
		text, err = readManifest(ctx, src)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open image %s: %w: no %s in it; write one there, \"{}\" is enough to begin with", path, ErrNotCloudlet, ManifestPath)
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest of %s: %w", im.Name, err)
	}
	if manifest != nil {
		im.apart, im.base, im.Source = manifest, src, Overlaid(src, manifestOverlay(manifest))
	}
	im.Manifest, err = ParseManifest(im.Name, text)
	if err != nil {
		return nil, err
	}
	return im, nil
}

// manifestOverlay puts a manifest where it belongs. It has no time of its
// own: the same manifest gives the same image.
func manifestOverlay(text []byte) Overlay {
	return Overlay{{
		Entry:   Entry{Path: ManifestPath, Type: Regular, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0).UTC()},
		Content: text,
	}}
}

// readManifest reads the manifest that is in a source.
func readManifest(ctx context.Context, src Source) ([]byte, error) {
	switch s := src.(type) {
	case Tree:
		return ReadFile(s, ManifestPath, maxDocument)
	case *TarSource:
		return s.manifest(ctx)
	}
	return findFile(ctx, src, ManifestPath)
}

// findFile reads one regular file of a source, which it reads that far.
func findFile(ctx context.Context, src Source, p string) ([]byte, error) {
	var text []byte
	errFound := errors.New("found")
	err := src.Walk(ctx, func(e Entry, content io.Reader) error {
		if e.Path != p || e.Type != Regular {
			return nil
		}
		if e.Size > maxDocument {
			return fmt.Errorf("read %s: it is longer than the %d bytes allowed", p, maxDocument)
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

// treer is what a [Source] may be besides: it can become a [Tree].
type treer interface {
	Tree(ctx context.Context) (Tree, error)
}

// Tree is random access to the image's files. For a compressed tarball and
// the like it unpacks the image into a temporary file, until [Image.Close].
func (im *Image) Tree(ctx context.Context) (Tree, error) {
	switch s := im.Source.(type) {
	case Tree:
		return s, nil
	case treer:
		return s.Tree(ctx)
	}
	base, ok := im.base.(treer)
	if !ok {
		return nil, fmt.Errorf("read image %s: its files cannot be read in any order: unpack it into a directory first", im.Name)
	}
	tree, err := base.Tree(ctx)
	if err != nil {
		return nil, err
	}
	both := struct {
		Source
		Tree
	}{im.base, tree}
	return Overlaid(both, manifestOverlay(im.apart)).(Tree), nil
}

// Close lets go of the image's source, and of what [Image.Tree] unpacked.
func (im *Image) Close() error {
	src := im.Source
	if im.base != nil {
		src = im.base
	}
	if c, ok := src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Fingerprint identifies the image's content cheaply, for the keys of
// caches: of a tarball by its file's size, time and inode; of a directory by
// those of all that is in it. It is 64 hexadecimal digits. A source that has
// none of its own is taken by what is at the image's path.
func (im *Image) Fingerprint(ctx context.Context) (string, error) {
	src := im.Source
	if im.base != nil {
		src = im.base
	}
	var sum string
	var err error
	if f, ok := src.(fingerprinter); ok {
		sum, err = f.Fingerprint(ctx)
	} else {
		sum, err = Fingerprint(ctx, im.Path)
	}
	if err != nil || im.apart == nil {
		return sum, err
	}
	both := sha256.Sum256(append([]byte(sum), im.apart...))
	return hex.EncodeToString(both[:]), nil
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
