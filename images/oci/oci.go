// Package oci reads container images as [images.Source]. It supports OCI
// layouts in a folder or in a tar archive, the archives of "docker save", and the
// "dir:" folders of skopeo and podman.
// An archive may be compressed.
//
// An image's layers are put on top of each other without unpacking them. A
// first pass over their headers determines the final files, and a second pass
// reads only these. Both passes check the digest of each layer, and unpack
// several layers at once, since that takes most of the time.
package oci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/tarball"
)

// Kind is the kind of bundle that holds an image.
type Kind string

// The kinds of bundles.
const (
	Layout        Kind = "oci-layout"     // a folder with oci-layout, index.json and blobs/
	Archive       Kind = "oci-archive"    // the same as a tar archive
	DockerArchive Kind = "docker-archive" // what "docker save" writes
	Directory     Kind = "dir"            // a folder as "skopeo copy … dir:" writes it
)

// Options hold what the path does not say. If there is only one image, the zero
// value works.
type Options struct {
	// Ref selects one of several images. It is a tag ("1.2"), a name with its
	// tag ("web:1.2"), or the digest of a manifest ("sha256:…").
	Ref string
	// Platform selects one of several platforms of an image, e.g. "linux/arm64"
	// or "linux/arm/v7". "" means Linux on this machine's architecture, or the
	// only platform if there is just one.
	Platform string
	// MaxSize is the maximum unpacked size, in bytes, of the layers and of a
	// compressed archive; 0 means [tarball.DefaultMaxSize].
	MaxSize int64
	// TempDir is the directory in which a compressed archive is unpacked; ""
	// means [os.TempDir]. The unpacked file has no name and disappears when it
	// is closed.
	TempDir string
}

// Config is the part of an image's configuration that is about running it.
type Config struct {
	OS, Architecture, Variant string // as Go calls them: "linux", "arm64", "v8"
	Entrypoint, Cmd           []string
	Env                       []string // "NAME=value"
	WorkingDir                string
	User                      string // a name or a number, also "user:group"
	Labels                    map[string]string
}

// Image is one container image. Several goroutines may call its methods at the
// same time.
type Image struct {
	name   string // in errors
	bundle Bundle
	found  description
	opt    Options

	mu     sync.Mutex
	list   *listing         // the final files of the image
	stream *tarball.Tarball // holds its Tree
}

var _ images.Source = (*Image)(nil)

// description says what an image consists of.
type description struct {
	digest string // of the manifest, or of the configuration if there is no manifest
	config Config
	layers []layer // the lowest first
}

// Open opens the image at path, which is a folder or an archive. If there are
// several images and the options do not select one, the error lists them. Open
// checks the digests of the manifest and the configuration. The digests of
// layers are checked when these are read. The caller must close the image.
func Open(ctx context.Context, path string, opt Options) (*Image, error) {
	opt.MaxSize = cmp.Or(max(opt.MaxSize, 0), tarball.DefaultMaxSize)
	im, err := open(ctx, path, opt)
	if err != nil {
		return nil, fmt.Errorf("open container image %s: %w", path, err)
	}
	return im, nil
}

func open(ctx context.Context, path string, opt Options) (*Image, error) {
	b, err := openBundle(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	return fromBundle(ctx, filepath.Base(path), b, opt)
}

// fromBundle finds the image in a bundle, which it closes if it fails.
func fromBundle(ctx context.Context, name string, b Bundle, opt Options) (*Image, error) {
	find := fromIndex
	if kindOf(ctx, b) == DockerArchive {
		find = fromDocker
	}
	found, err := find(ctx, b, opt)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Image{name: name, bundle: b, found: found, opt: opt}, nil
}

// OpenBundle opens an image whose files a bundle provides, as [Open] does. name
// is for errors. The image owns the bundle. If OpenBundle fails, it closes the
// bundle.
func OpenBundle(ctx context.Context, name string, b Bundle, opt Options) (*Image, error) {
	opt.MaxSize = cmp.Or(max(opt.MaxSize, 0), tarball.DefaultMaxSize)
	im, err := fromBundle(ctx, name, b, opt)
	if err != nil {
		return nil, fmt.Errorf("open container image %s: %w", name, err)
	}
	return im, nil
}

// Config returns the configuration of the image.
func (im *Image) Config() Config { return im.found.config }

// Digest returns the digest of the image's manifest, e.g. "sha256:…". For an
// archive of "docker save", which has no manifest, it is that of the
// configuration.
func (im *Image) Digest() string { return "sha256:" + im.found.digest }

// Fingerprint identifies the image's content. It is the digest of its manifest,
// as 64 hexadecimal digits.
func (im *Image) Fingerprint(context.Context) (string, error) { return im.found.digest, nil }

// Tree is random access to the image's files, and a walk in canonical order.
// They are unpacked for it into a temporary file without a name, until Close.
func (im *Image) Tree(ctx context.Context) (images.Ordered, error) {
	im.mu.Lock()
	stream := im.stream
	im.mu.Unlock()
	if stream != nil {
		return stream.Tree(ctx)
	}
	stream, tree, err := im.spool(ctx)
	if err != nil {
		return nil, fmt.Errorf("unpack container image %s: %w", im.name, err)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.stream != nil { // another goroutine was faster
		return tree, stream.Close()
	}
	im.stream = stream
	return tree, nil
}

// spool writes the whole image as one tarball.
func (im *Image) spool(ctx context.Context) (*tarball.Tarball, images.Ordered, error) {
	r, w := io.Pipe()
	stream := tarball.NewStream(im.name, r)
	stream.MaxSize, stream.TempDir = maxTarball(im.opt.MaxSize), im.opt.TempDir
	var tree images.Ordered
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := tarball.Write(gctx, w, im)
		w.CloseWithError(err)
		return err
	})
	g.Go(func() (err error) {
		tree, err = stream.Tree(gctx)
		r.CloseWithError(err)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	return stream, tree, nil
}

// maxTarball returns the maximum size of the tarball of an image whose files
// have at most max bytes. It adds the size of the headers.
func maxTarball(max int64) int64 { return max + maxHeaders }

// Close closes the folder or archive, and removes what Tree has unpacked.
func (im *Image) Close() error {
	im.mu.Lock()
	defer im.mu.Unlock()
	err := im.bundle.Close()
	if im.stream != nil {
		err = errors.Join(err, im.stream.Close())
		im.stream = nil
	}
	return err
}
