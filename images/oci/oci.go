// Package oci reads container images as [images.Source]: OCI layouts, which
// are folders, the same in a tar archive, and what "docker save" writes. An
// archive may be compressed.
//
// An image's layers are put on top of each other without being unpacked: a
// first pass over their headers finds out what is there in the end, a second
// one shows just that. Each layer's digest is checked in both.
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

// Kind says what holds an image.
type Kind string

// The kinds of holder.
const (
	Layout        Kind = "oci-layout"     // a folder with oci-layout, index.json and blobs/
	Archive       Kind = "oci-archive"    // the same as a tar archive
	DockerArchive Kind = "docker-archive" // what "docker save" writes
)

// Options are what the path does not say. The zero value will do where there
// is one image.
type Options struct {
	// Ref picks one of several images: a tag ("1.2"), a name with its tag
	// ("web:1.2"), or a manifest's digest ("sha256:…").
	Ref string
	// Platform picks one of an image's several, "linux/arm64" or
	// "linux/arm/v7"; "" is Linux on this machine's architecture, or
	// whatever there is where there is but one.
	Platform string
	// MaxSize bounds what the layers, and an archive that is compressed, may
	// unpack to, in bytes; 0 is [tarball.DefaultMaxSize].
	MaxSize int64
	// TempDir is where a compressed archive is unpacked; "" is [os.TempDir].
	// Nothing there has a name, or stays.
	TempDir string
}

// Config is what an image's configuration says about running it.
type Config struct {
	OS, Architecture, Variant string // as Go calls them: "linux", "arm64", "v8"
	Entrypoint, Cmd           []string
	Env                       []string // "NAME=value"
	WorkingDir                string
	User                      string // a name or a number, also "user:group"
	Labels                    map[string]string
}

// Image is one container image. Its methods may be called by several
// goroutines at once.
type Image struct {
	name   string // in errors
	bundle bundle
	found  description
	opt    Options

	mu     sync.Mutex
	list   *listing         // what is in the image in the end
	stream *tarball.Tarball // where its Tree is
}

var _ images.Source = (*Image)(nil)

// description is what an image is made of.
type description struct {
	digest string // of the manifest, or of the configuration where there is none
	config Config
	layers []layer // the lowest first
}

// Open finds the image at path: a folder or an archive. Where there are
// several and the options do not pick one, the error lists them. Manifest and
// configuration are checked against their digests; layers are, when they are
// read. The caller closes the image.
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
	find := fromIndex
	if kindOf(b) == DockerArchive {
		find = fromDocker
	}
	found, err := find(b, opt)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Image{name: filepath.Base(path), bundle: b, found: found, opt: opt}, nil
}

// Config is what the image says about running it.
func (im *Image) Config() Config { return im.found.config }

// Fingerprint identifies the image's content: the digest of its manifest, as
// 64 hexadecimal digits.
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
	if im.stream != nil { // somebody else was faster
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

// maxTarball is how large the tarball of an image can be whose files have at
// most max bytes: their headers come on top.
func maxTarball(max int64) int64 { return max + maxHeaders }

// Close lets go of the folder or archive, and of what Tree unpacked.
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
