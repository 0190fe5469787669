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

// Names in a bundle.
const (
	layoutName = "oci-layout"
	indexName  = "index.json"
	dockerName = "manifest.json"
)

// maxDocument is the longest manifest, index or configuration that is read,
// in bytes.
const maxDocument = 8 << 20

// bundle is the files that images are kept in, whether in a folder or in an
// archive.
type bundle interface {
	io.Closer
	// open opens a file by its name, and tells its length. An absent one is
	// [fs.ErrNotExist].
	open(name string) (io.ReadCloser, int64, error)
}

// folder is a bundle in a folder, of which no link leads out.
type folder struct{ root *os.Root }

func (f folder) Close() error { return f.root.Close() }

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a FIFO would wait
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// openBundle opens what is at a path.
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
		err := fmt.Errorf("it is no container image: it has neither %s and %s nor %s", layoutName, indexName, dockerName)
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// kindOf tells what a bundle is; "" is none. What is both, as newer versions
// of "docker save" write it, is an OCI layout.
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

// readFile reads a small file of a bundle.
func readFile(b bundle, name string) ([]byte, error) {
	f, size, err := b.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not in it: it is not whole; make it again: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s is %d bytes long: more than the %d allowed", name, size, maxDocument)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// readJSON reads a file of a bundle into v.
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

// readBlob reads a document that is named by its digest, and checks that.
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

// blobName is where a layout keeps what has a digest.
func blobName(digest v1.Hash) (string, error) {
	if digest.Algorithm != "sha256" {
		return "", fmt.Errorf("its digests are of %q: only sha256 is known", digest.Algorithm)
	}
	return "blobs/" + digest.Algorithm + "/" + digest.Hex, nil
}
