package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"cloudlets/images/bounded"
	"cloudlets/images/oci"
)

const (
	// maxDocuments is the maximum size of all manifests and configurations of
	// an image, in bytes.
	maxDocuments = 64 << 20
	// maxLayers is the maximum number of layers. Each is an open file.
	maxLayers = 500
)

// Open fetches an image with all its layers, and opens it. text is its name,
// see [IsName]. of selects one of several platforms; its Ref is not used. The
// caller must close the image.
func Open(ctx context.Context, text string, of oci.Options, opt Options) (*oci.Image, error) {
	im, err := open(ctx, text, of, opt)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", text, explain(err))
	}
	return im, nil
}

func open(ctx context.Context, text string, of oci.Options, opt Options) (*oci.Image, error) {
	ref, err := parse(text, opt)
	if err != nil {
		return nil, err
	}
	way, err := login(ctx, ref.Context(), transport.PullScope, opt)
	if err != nil {
		return nil, err
	}
	top, err := remote.Get(ref, remote.WithTransport(way), remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	b := &bundle{
		repo: ref.Context(), way: way, client: &http.Client{Transport: way, CheckRedirect: checkRedirect},
		known: map[string]v1.Descriptor{}, texts: map[string][]byte{}, files: map[string]*os.File{},
	}
	if err := b.begin(top); err != nil {
		return nil, err
	}
	of.Ref = ""
	im, err := oci.OpenBundle(ctx, text, b, of)
	if err != nil {
		return nil, err
	}
	if err := b.fetchLayers(ctx, of.MaxSize, opt); err != nil {
		return nil, errors.Join(err, im.Close())
	}
	return im, nil
}

// bundle is an image in a registry, as the files of an OCI layout. Manifests
// and configurations are fetched when they are opened. Layers must have been
// fetched before.
type bundle struct {
	repo   name.Repository
	way    http.RoundTripper
	client *http.Client

	mu    sync.Mutex
	known map[string]v1.Descriptor // what the documents so far name, by file name
	texts map[string][]byte        // the documents, by file name
	size  int                      // of texts
	files map[string]*os.File      // the layers, by file name
	// layers are those of the manifests that were opened: of an index with
	// several platforms, only the chosen one is.
	layers []v1.Descriptor
}

func fileName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// begin puts the first document into a layout.
func (b *bundle) begin(top *remote.Descriptor) error {
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{{MediaType: top.MediaType, Digest: top.Digest, Size: top.Size}}})
	if err != nil {
		return err
	}
	b.texts["oci-layout"], b.texts["index.json"] = []byte("{}"), index
	b.known[fileName(top.Digest)] = top.Descriptor
	return b.keep(top.Descriptor, top.Manifest)
}

// Close closes the layers.
func (b *bundle) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, f := range b.files {
		errs = append(errs, f.Close())
	}
	clear(b.files)
	return errors.Join(errs...)
}

// Open opens a file of the layout. A document is fetched if need be.
func (b *bundle) Open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, ok := b.files[name]; ok {
		size := b.known[name].Size
		return io.NopCloser(io.NewSectionReader(f, 0, size)), size, nil
	}
	text, ok := b.texts[name]
	if !ok {
		d, ok := b.known[name]
		if !ok || d.MediaType.IsLayer() {
			return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		var err error
		if text, err = b.fetchDocument(ctx, d); err != nil {
			return nil, 0, err
		}
		if err := b.keep(d, text); err != nil {
			return nil, 0, err
		}
	}
	return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
}

// documentTime is how long a registry may take for a manifest or a configuration. These
// are small.
const documentTime = 2 * time.Minute

func (b *bundle) fetchDocument(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, documentTime, fmt.Errorf("the registry did not send all of it within %s", documentTime))
	defer cancel()
	if d.MediaType.IsIndex() || d.MediaType.IsImage() {
		got, err := remote.Get(b.repo.Digest(d.Digest.String()), remote.WithTransport(b.way), remote.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		return got.Manifest, nil
	}
	body, err := b.get(ctx, d.Digest, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(bounded.BySize(body, maxDocuments))
}

// keep keeps a document, and notes what it names.
func (b *bundle) keep(d v1.Descriptor, text []byte) error {
	if b.size += len(text); b.size > maxDocuments {
		return fmt.Errorf("its manifests have more than %d bytes", maxDocuments)
	}
	b.texts[fileName(d.Digest)] = text
	switch {
	case d.MediaType.IsIndex():
		index, err := v1.ParseIndexManifest(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("read the index %s: %w", d.Digest, err)
		}
		b.note(index.Manifests...)
	case d.MediaType.IsImage():
		m, err := v1.ParseManifest(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("read the manifest %s: %w", d.Digest, err)
		}
		if len(m.Layers) > maxLayers {
			return fmt.Errorf("it has more than %d layers", maxLayers)
		}
		b.note(m.Config)
		b.note(m.Layers...)
		b.layers = append(b.layers, m.Layers...)
	}
	return nil
}

func (b *bundle) note(all ...v1.Descriptor) {
	for _, d := range all {
		b.known[fileName(d.Digest)] = d
	}
}

// wanted returns the layers to fetch, each once, and their size in bytes.
func (b *bundle) wanted(max int64) (all []v1.Descriptor, total int64, err error) {
	for _, d := range b.layers {
		if slices.ContainsFunc(all, func(other v1.Descriptor) bool { return other.Digest == d.Digest }) {
			continue
		}
		if d.Size < 0 || d.Size > max-total {
			return nil, 0, bounded.TooLarge(max)
		}
		all, total = append(all, d), total+d.Size
	}
	return all, total, nil
}
