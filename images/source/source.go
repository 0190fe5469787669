// Package source opens an image by whatever a person calls it: a directory, a
// tarball in a file or on standard input, a revision of a git or Mercurial
// repository, an OCI image.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/layers"
	"cloudlets/images/metadata"
	"cloudlets/images/oci"
	"cloudlets/images/tarball"
	"cloudlets/images/vcs"
)

// Stdin is the name that stands for a tarball on standard input.
const Stdin = "-"

// Options are what an image's name does not say. The zero value will do.
type Options struct {
	// Manifest is a manifest kept apart from its filesystem; nil takes the
	// one in the image.
	Manifest []byte
	// Bare takes a filesystem without a manifest for a cloudlet whose
	// manifest says nothing.
	Bare bool
	// MaxSize bounds what an image may unpack to, in bytes; 0 is
	// [tarball.DefaultMaxSize].
	MaxSize int64
	// Platform picks one of an OCI image's several, "linux/arm64"; "" is
	// Linux on this machine's architecture.
	Platform string
	// Stdin is what "-" reads; nil has nothing to read.
	Stdin io.Reader
}

// Open opens the image that ref names, and reads its manifest. ref is
//
//   - a directory, which may be the working copy of a repository;
//   - a tarball, plain or compressed, or "-" for one on standard input;
//   - REPOSITORY@REVISION for a git or Mercurial repository, also a bare one;
//   - an OCI layout or archive, or a docker archive; FILE:TAG where it holds
//     several images.
//
// What is there by its whole name goes before any reading of an "@" or a ":"
// in it. The caller closes the image.
func Open(ctx context.Context, ref string, opt Options) (*images.Image, error) {
	src, err := find(ctx, ref, opt)
	if err != nil {
		return nil, err
	}
	described := src
	if opt.Manifest != nil {
		described = layers.WithManifest(src, opt.Manifest)
	}
	im, err := images.New(ctx, ref, described)
	if errors.Is(err, images.ErrNotCloudlet) && opt.Bare {
		im, err = images.New(ctx, ref, layers.WithManifest(src, []byte("{}")))
		if err == nil {
			im.Source = src // without the manifest that it does not have
		}
	}
	if err != nil {
		return nil, errors.Join(err, closeSource(src))
	}
	return im, nil
}

func closeSource(src images.Source) error {
	if c, ok := src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// find is the source that ref names.
func find(ctx context.Context, ref string, opt Options) (images.Source, error) {
	if ref == Stdin {
		return standardInput(opt)
	}
	info, err := os.Stat(ref)
	switch {
	case err == nil && info.IsDir():
		return directory(ctx, ref, opt)
	case err == nil && info.Mode().IsRegular():
		return file(ctx, ref, opt)
	case err == nil:
		return nil, fmt.Errorf("open image %s: it is neither a directory nor a file", ref)
	case !isAbsent(err):
		return nil, fmt.Errorf("open image: %w", err)
	}
	if repo, revision, ok := part(ref, "@"); ok {
		return vcs.Open(ctx, repo, revision)
	}
	if path, tag, ok := part(ref, ":"); ok {
		return oci.Open(ctx, path, ociOptions(opt, tag))
	}
	return nil, fmt.Errorf("open image %s: there is no such directory or file", ref)
}

// part splits "PATH@REVISION" where there is something at PATH.
func part(ref, separator string) (path, rest string, ok bool) {
	i := strings.LastIndex(ref, separator)
	if i <= 0 || i+1 == len(ref) {
		return "", "", false
	}
	_, err := os.Stat(ref[:i])
	return ref[:i], ref[i+1:], err == nil
}

// invalidName is what Windows says of a name that no file can have, such as
// one with a tag behind a colon.
const invalidName = syscall.Errno(123)

// isAbsent says whether nothing is, or can be, called by a name.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || runtime.GOOS == "windows" && errors.Is(err, invalidName)
}

func standardInput(opt Options) (images.Source, error) {
	if opt.Stdin == nil {
		return nil, errors.New("open image -: there is no standard input to read")
	}
	tarball := tarball.NewStream("standard input", opt.Stdin)
	tarball.MaxSize = opt.MaxSize
	return tarball, nil
}

func file(ctx context.Context, path string, opt Options) (images.Source, error) {
	if _, is := oci.Detect(path); is {
		return oci.Open(ctx, path, ociOptions(opt, ""))
	}
	tarball := tarball.New(path)
	tarball.MaxSize = opt.MaxSize
	return tarball, nil
}

func ociOptions(opt Options, tag string) oci.Options {
	return oci.Options{Ref: tag, Platform: opt.Platform, MaxSize: opt.MaxSize}
}

// directory is a filesystem tree, an OCI layout, or a repository without a
// working copy, of which the latest revision counts.
func directory(ctx context.Context, path string, opt Options) (images.Source, error) {
	if _, is := oci.Detect(path); is {
		return oci.Open(ctx, path, ociOptions(opt, ""))
	}
	if vcs.IsBare(path) {
		return vcs.Open(ctx, path, "")
	}
	dir, err := dirtree.Open(path)
	if err != nil {
		return nil, err
	}
	return asRecorded(path, dir)
}

// asRecorded shows a directory as its metadata file tells. That counts where
// the directory belongs to an ordinary user, who cannot give files to others;
// where it belongs to root, the filesystem itself is the truth. Only Linux
// keeps all of that, so that elsewhere the file counts whoever is the owner.
func asRecorded(path string, dir *dirtree.Dir) (images.Source, error) {
	if runtime.GOOS == "linux" {
		root, err := dir.Entry("/")
		if err != nil {
			return nil, err
		}
		if root.UID == 0 {
			return dir, nil
		}
	}
	recorded, err := metadata.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", path, err)
	}
	return metadata.Wrap(dir, recorded), nil
}
