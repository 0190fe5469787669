// Package source opens an image from the name that a person gives. The name can
// be that of a directory, a tarball in a file or on standard input, a revision
// of a git or Mercurial repository, or an OCI image.
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
	"cloudlets/images/metadata/trees"
	"cloudlets/images/oci"
	"cloudlets/images/registry"
	"cloudlets/images/tarball"
	"cloudlets/images/vcs"
)

// Stdin is the name for a tarball on standard input.
const Stdin = "-"

// Options hold what the name of an image does not say. The zero value works.
type Options struct {
	// Manifest is a manifest that is kept apart from its filesystem. If it is
	// nil, the manifest inside the image is used.
	Manifest []byte
	// Bare accepts a filesystem without a manifest, as if its manifest were
	// empty.
	Bare bool
	// MaxSize is the maximum unpacked size of an image in bytes; 0 means
	// [tarball.DefaultMaxSize].
	MaxSize int64
	// Platform selects one of the platforms of an OCI image, e.g.
	// "linux/arm64". "" means Linux on the architecture of this machine.
	Platform string
	// Registry says how to speak to a registry of container images. If it is
	// nil, no image is fetched, and a name that would need it is an error.
	Registry *registry.Options
	// Stdin is what "-" reads. If it is nil, "-" is an error.
	Stdin io.Reader
	// Note, if not nil, is called with each sentence about what the image's form
	// holds and an image cannot, such as an extended attribute of another system.
	Note func(sentence string)
}

// Open opens the image that ref names, and reads its manifest. ref is
//
//   - a directory, which may be the working copy of a repository;
//   - a tarball, plain or compressed;
//   - REPOSITORY@REVISION for a git or Mercurial repository, which may be bare;
//   - an OCI layout or archive, or a docker archive; use FILE:TAG if it holds
//     several images;
//   - HOST/NAME:TAG or "docker://NAME:TAG", an image in a registry, if the
//     options allow that;
//   - "-" for a tarball or an archive of a container image on standard input.
//
// If a file has exactly the name ref, Open takes that file, even if ref
// contains an "@" or a ":". The caller must close the image.
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
			im.Source = src // the empty manifest is not one of the image's files
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

// find returns the source that ref names.
func find(ctx context.Context, ref string, opt Options) (images.Source, error) {
	if ref == Stdin {
		return standardInput(ctx, opt)
	}
	if strings.HasPrefix(ref, registry.Scheme) {
		return fetch(ctx, ref, opt)
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
	// A folder "localhost" is not what "localhost:5000/web" means.
	if path, tag, ok := tagged(ref); ok && (isContainer(path) || !registry.IsName(ref)) {
		return oci.Open(ctx, path, ociOptions(opt, tag))
	}
	if registry.IsName(ref) {
		return fetch(ctx, ref, opt)
	}
	return nil, fmt.Errorf("open image %s: there is no such directory or file", ref)
}

// fetch opens an image of a registry. Its name may as well be a path that is
// misspelt, so errors say both.
func fetch(ctx context.Context, ref string, opt Options) (images.Source, error) {
	if opt.Registry == nil {
		return nil, fmt.Errorf("open image %s: there is no such directory or file; if it is in a registry, run \"cloudlets import %[1]s DIR\" first", ref)
	}
	im, err := registry.Open(ctx, ref, ociOptions(opt, ""), *opt.Registry)
	if err != nil && !strings.HasPrefix(ref, registry.Scheme) {
		err = fmt.Errorf("there is no such directory or file, and in the registry: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return im, nil
}

// part splits "PATH@REVISION". It is ok only if PATH exists.
func part(ref, separator string) (path, rest string, ok bool) {
	i := strings.LastIndex(ref, separator)
	if i <= 0 || i+1 == len(ref) {
		return "", "", false
	}
	_, err := os.Stat(ref[:i])
	return ref[:i], ref[i+1:], err == nil
}

func isContainer(path string) bool {
	_, is := oci.Detect(path)
	return is
}

// tagged splits "FILE:TAG" or "FILE:NAME:TAG". It is ok only if FILE exists.
func tagged(ref string) (path, tag string, ok bool) {
	for i, c := range ref {
		if c != ':' || i == 0 || i+1 == len(ref) {
			continue
		}
		if _, err := os.Stat(ref[:i]); err == nil {
			return ref[:i], ref[i+1:], true
		}
	}
	return "", "", false
}

// invalidName is the error of Windows for a name that no file can have, e.g. a
// name with a tag after a colon.
const invalidName = syscall.Errno(123)

// isAbsent reports whether err means that no file has, or can have, this name.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || runtime.GOOS == "windows" && errors.Is(err, invalidName)
}

// standardInput opens the tarball, or the archive of a container image,
// on standard input.
func standardInput(ctx context.Context, opt Options) (images.Source, error) {
	if opt.Stdin == nil {
		return nil, errors.New("open image -: there is no standard input to read from")
	}
	container, rest, err := oci.OpenStream(ctx, "standard input", opt.Stdin, ociOptions(opt, ""))
	if err != nil || container != nil {
		return container, err
	}
	tarball := tarball.NewStream("standard input", rest)
	tarball.MaxSize, tarball.Note = opt.MaxSize, opt.Note
	return stream{tarball, rest}, nil
}

// stream is a tarball that comes from a stream, which it closes.
type stream struct {
	*tarball.Tarball
	rest io.Closer
}

// Close closes the tarball and its stream.
func (s stream) Close() error { return errors.Join(s.Tarball.Close(), s.rest.Close()) }

func file(ctx context.Context, path string, opt Options) (images.Source, error) {
	if _, is := oci.Detect(path); is {
		return oci.Open(ctx, path, ociOptions(opt, ""))
	}
	tarball := tarball.New(path)
	tarball.MaxSize, tarball.Note = opt.MaxSize, opt.Note
	return tarball, nil
}

func ociOptions(opt Options, tag string) oci.Options {
	return oci.Options{Ref: tag, Platform: opt.Platform, MaxSize: opt.MaxSize}
}

// directory opens a directory: a root filesystem, an OCI layout, or a
// repository without a working copy, of which it opens the latest revision.
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

// asRecorded applies the metadata file of a directory, if the file is
// authoritative there. It is authoritative if the directory belongs to an
// ordinary user, who cannot give files to other owners. If the directory
// belongs to root, the filesystem itself is right. Systems other than Linux
// cannot store all the metadata, so there the file always applies.
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
	if isAbsent(err) { // if /.cloudlet is not a directory, the manifest is not there either, which is told later
		return dir, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", path, err)
	}
	return trees.Wrap(dir, recorded), nil
}
