package oci

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"cloudlets/images/bounded"
	"cloudlets/images/lazyregexp"
	"cloudlets/images/tarball"
)

// ownNames matches the file names in archives of images. A root filesystem
// begins with other names, so a few entries are enough to recognise it.
var ownNames = lazyregexp.New(`^(blobs(/.*)?|oci-layout|(index|manifest)\.json|repositories|(sha256:)?[0-9a-f]{64}(|/|\.json|\.tar(\.[a-z0-9]+)?|/(VERSION|json|layer\.tar)))$`)

// maxDetect is how many bytes of an archive are unpacked at most to detect what
// it is.
const maxDetect = tarball.DefaultMaxSize

// Detect reports whether there is a container image at path, and its kind. It
// looks only at the names of files. If path cannot be read, it is not an image.
func Detect(path string) (Kind, bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", false
	case info.IsDir() && isFile(filepath.Join(path, layoutName)) && isFile(filepath.Join(path, indexName)):
		return Layout, true
	case info.IsDir() && isCopied(path):
		return Directory, true
	case !info.Mode().IsRegular():
		return "", false
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	kind := detectFile(f)
	return kind, kind != ""
}

// isCopied reports whether a folder says that it is a "dir:" folder.
func isCopied(path string) bool {
	const says = "Directory Transport Version: "
	version := filepath.Join(path, versionName)
	if !isFile(version) || !isFile(filepath.Join(path, dockerName)) {
		return false
	}
	f, err := os.Open(version)
	if err != nil {
		return false
	}
	defer f.Close()
	text := make([]byte, len(says))
	_, err = io.ReadFull(f, text)
	return err == nil && string(text) == says
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func detectFile(f *os.File) Kind {
	packed, err := isPacked(f)
	if err != nil {
		return ""
	}
	if !packed {
		return detectTar(f)
	}
	plain, err := tarball.Decompress(bounded.ByContext(context.Background(), f))
	if err != nil {
		return ""
	}
	defer plain.Close()
	return detectTar(bounded.BySize(plain, maxDetect))
}

// detectTar reads the names in an archive until one does not belong to an
// image.
func detectTar(r io.Reader) Kind {
	archive := tar.NewReader(r)
	var layout, index, docker bool
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && layout && index:
			return Archive
		case errors.Is(err, io.EOF) && docker:
			return DockerArchive
		case err != nil:
			return ""
		}
		name := memberName(h.Name)
		if name != "" && !ownNames().MatchString(name) {
			return ""
		}
		layout = layout || name == layoutName
		index = index || name == indexName
		docker = docker || name == dockerName
	}
}
