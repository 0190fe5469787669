package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// File names in a bundle.
const (
	layoutName = "oci-layout"
	indexName  = "index.json"
	dockerName = "manifest.json"
	// versionName is in the "dir:" folders of skopeo and podman.
	versionName = "version"
	blobsName   = "blobs/"
)

// maxDocument is the maximum size of a manifest, index or configuration in
// bytes.
const maxDocument = 8 << 20

// Bundle is the set of files that holds images: a folder, an archive, or what
// comes from a registry. The files have the names that they have in an OCI
// layout.
type Bundle interface {
	io.Closer
	// Open opens a file by its name and returns its length. If the file does
	// not exist, the error is [fs.ErrNotExist].
	Open(ctx context.Context, name string) (io.ReadCloser, int64, error)
}

// openBundle opens the folder or archive at a path.
func openBundle(ctx context.Context, path string, opt Options) (Bundle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var b Bundle
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		if b, err = openFolder(ctx, folder{root, path}); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	} else if b, err = openArchive(ctx, path, opt); err != nil {
		return nil, err
	}
	if kindOf(ctx, b) == "" {
		err := fmt.Errorf("it is not a container image: it has neither %s and %s nor %s", layoutName, indexName, dockerName)
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func openFolder(ctx context.Context, f folder) (Bundle, error) {
	if has(ctx, f, versionName) && has(ctx, f, dockerName) && !has(ctx, f, indexName) {
		return openCopied(ctx, f)
	}
	return f, nil
}

// kindOf returns the kind of a bundle, or "" if it holds no images. Newer
// versions of "docker save" write bundles that are of two kinds; these count as
// OCI layouts.
func kindOf(ctx context.Context, b Bundle) Kind {
	if _, is := b.(copied); is {
		return Directory
	}
	_, isFolder := b.(folder)
	switch {
	case has(ctx, b, layoutName) && has(ctx, b, indexName) && isFolder:
		return Layout
	case has(ctx, b, layoutName) && has(ctx, b, indexName):
		return Archive
	case has(ctx, b, dockerName) && !isFolder:
		return DockerArchive
	}
	return ""
}

func has(ctx context.Context, b Bundle, name string) bool {
	f, _, err := b.Open(ctx, name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// readFile returns the content of a small file of a bundle.
func readFile(ctx context.Context, b Bundle, name string) ([]byte, error) {
	f, size, err := b.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is incomplete, because %s is missing; make it again: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s is %d bytes long, which exceeds the limit of %d", name, size, maxDocument)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// readJSON parses a file of a bundle into v.
func readJSON(ctx context.Context, b Bundle, name string, v any) error {
	text, err := readFile(ctx, b, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// readBlob parses a document that is named by its digest, and checks the
// digest.
func readBlob(ctx context.Context, b Bundle, digest v1.Hash, v any) error {
	name, err := blobName(digest)
	if err != nil {
		return err
	}
	text, err := readFile(ctx, b, name)
	if err != nil {
		return err
	}
	if err := checkText(text, digest); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// blobName returns the name in a layout of the file with a digest.
func blobName(digest v1.Hash) (string, error) {
	if digest.Algorithm != "sha256" {
		return "", fmt.Errorf("its digests use %q, but only sha256 is supported", digest.Algorithm)
	}
	return blobsName + digest.Algorithm + "/" + digest.Hex, nil
}
