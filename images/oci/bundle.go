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
)

// maxDocument is the maximum size of a manifest, index or configuration in
// bytes.
const maxDocument = 8 << 20

// bundle is the set of files that holds images, either in a folder or in an
// archive.
type bundle interface {
	io.Closer
	// open opens a file by its name and returns its length. If the file does
	// not exist, the error is [fs.ErrNotExist].
	open(name string) (io.ReadCloser, int64, error)
}

// folder is a bundle in a folder. Links cannot lead out of it.
type folder struct{ root *os.Root }

func (f folder) Close() error { return f.root.Close() }

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // opening a FIFO would block
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// openBundle opens the folder or archive at a path.
func openBundle(ctx context.Context, path string, opt Options) (bundle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var b bundle
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		b = folder{root}
	} else if b, err = openArchive(ctx, path, opt); err != nil {
		return nil, err
	}
	if kindOf(b) == "" {
		err := fmt.Errorf("it is not a container image: it has neither %s and %s nor %s", layoutName, indexName, dockerName)
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// kindOf returns the kind of a bundle, or "" if it holds no images. Newer
// versions of "docker save" write bundles that are of two kinds; these count as
// OCI layouts.
func kindOf(b bundle) Kind {
	_, isFolder := b.(folder)
	switch {
	case has(b, layoutName) && has(b, indexName) && isFolder:
		return Layout
	case has(b, layoutName) && has(b, indexName):
		return Archive
	case has(b, dockerName) && !isFolder:
		return DockerArchive
	}
	return ""
}

func has(b bundle, name string) bool {
	f, _, err := b.open(name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// readFile returns the content of a small file of a bundle.
func readFile(b bundle, name string) ([]byte, error) {
	f, size, err := b.open(name)
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
func readJSON(b bundle, name string, v any) error {
	text, err := readFile(b, name)
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
func readBlob(b bundle, digest v1.Hash, v any) error {
	name, err := blobName(digest)
	if err != nil {
		return err
	}
	text, err := readFile(b, name)
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
	return "blobs/" + digest.Algorithm + "/" + digest.Hex, nil
}
