package oci

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
)

// ownNames are those that the archives of images have. A root filesystem
// begins with others, so that it is told after a few of its entries.
var ownNames = regexp.MustCompile(`^(blobs(/.*)?|oci-layout|(index|manifest)\.json|repositories|(sha256:)?[0-9a-f]{64}(|/|\.json|\.tar(\.[a-z0-9]+)?|/(VERSION|json|layer\.tar)))$`)

// maxDetect is how much of an archive is unpacked to tell what it is, in
// bytes.
const maxDetect = tarball.DefaultMaxSize

// Detect tells whether there is a container image at path, and how it is
// kept, by the names of its files. What cannot be read is none.
func Detect(path string) (Kind, bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", false
	case info.IsDir() && isFile(filepath.Join(path, layoutName)) && isFile(filepath.Join(path, indexName)):
		return Layout, true
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

// detectTar looks at an archive's names, until one is not of an image.
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
		if name != "" && !ownNames.MatchString(name) {
			return ""
		}
		layout = layout || name == layoutName
		index = index || name == indexName
		docker = docker || name == dockerName
	}
}
