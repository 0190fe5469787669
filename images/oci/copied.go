package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// copied is a bundle in a folder as "skopeo copy … dir:" and "podman save
// --format docker-dir" write it: the manifest of one image is in
// manifest.json, and its blobs are beside it, named by their digests.
type copied struct {
	folder
	manifest []byte
	name     string // that the manifest has in a layout
	index    []byte
}

// openCopied reads the manifest of such a folder.
func openCopied(ctx context.Context, f folder) (Bundle, error) {
	text, err := readFile(ctx, f, dockerName)
	if err != nil {
		return nil, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	name, err := blobName(digest)
	if err != nil {
		return nil, err
	}
	var says v1.Descriptor // of an index, only the media type matters
	if err := json.Unmarshal(text, &says); err != nil {
		return nil, fmt.Errorf("read %s: %w", dockerName, err)
	}
	index, err := json.Marshal(v1.IndexManifest{Manifests: []v1.Descriptor{{MediaType: says.MediaType, Digest: digest, Size: size}}})
	return copied{f, text, name, index}, err
}

// Open opens a file by the name that it has in a layout.
func (c copied) Open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	switch name {
	case c.name:
		return inMemory(c.manifest)
	case indexName:
		return inMemory(c.index)
	}
	if hex, ok := strings.CutPrefix(name, blobsName+"sha256/"); ok {
		if name = hex; !has(ctx, c.folder, name) {
			name = hex + ".manifest.json" // one of several manifests of an index
		}
	}
	return c.folder.Open(ctx, name)
}

func inMemory(text []byte) (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
}
