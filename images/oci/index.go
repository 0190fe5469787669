package oci

import (
	"context"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// maxDepth is the maximum depth of nested indexes.
	maxDepth = 4
	// maxManifests is the maximum number of manifests.
	maxManifests = 1000
)

// Annotations of images.
const (
	refNameKey = "org.opencontainers.image.ref.name"
	// imageNameKey is the full name, in layouts of containerd and docker.
	imageNameKey = "io.containerd.image.name"
	// referenceKey marks a statement about an image, which is not an image
	// itself.
	referenceKey = "vnd.docker.reference.type"
)

// fromIndex finds the image in an OCI layout.
func fromIndex(ctx context.Context, b Bundle, opt Options) (description, error) {
	var index v1.IndexManifest
	if err := readJSON(ctx, b, indexName, &index); err != nil {
		return description{}, err
	}
	var all []candidate
	if err := expand(ctx, b, index.Manifests, nil, 1, &all); err != nil {
		return description{}, err
	}
	if len(all) == 0 && has(ctx, b, dockerName) {
		// Docker 25 writes such an index when it saves an image by its digest.
		return fromDocker(ctx, b, opt)
	}
	chosen, err := choose(all, opt)
	if err != nil {
		return description{}, err
	}
	return describe(ctx, b, chosen.digest, opt)
}

// expand adds the images of an index to all. It also adds those of nested
// indexes, which inherit the names of the outer index.
func expand(ctx context.Context, b Bundle, list []v1.Descriptor, names []string, depth int, all *[]candidate) error {
	if depth > maxDepth {
		return fmt.Errorf("its indexes are nested more than %d deep", maxDepth)
	}
	for _, d := range list {
		if len(*all) >= maxManifests {
			return fmt.Errorf("it has more than %d manifests", maxManifests)
		}
		if d.Annotations[referenceKey] != "" {
			continue
		}
		called := append(names[:len(names):len(names)], namesOf(d)...)
		if !d.MediaType.IsIndex() {
			*all = append(*all, candidate{names: called, platform: d.Platform, digest: d.Digest})
			continue
		}
		var inner v1.IndexManifest
		if err := readBlob(ctx, b, d.Digest, &inner); err != nil {
			return err
		}
		if err := expand(ctx, b, inner.Manifests, called, depth+1, all); err != nil {
			return err
		}
	}
	return nil
}

func namesOf(d v1.Descriptor) []string {
	names := []string{d.Digest.String()}
	for _, key := range []string{refNameKey, imageNameKey} {
		if name := d.Annotations[key]; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// describe reads the manifest and the configuration of an image.
func describe(ctx context.Context, b Bundle, digest v1.Hash, opt Options) (description, error) {
	var m v1.Manifest
	if err := readBlob(ctx, b, digest, &m); err != nil {
		return description{}, err
	}
	if !m.Config.MediaType.IsConfig() {
		return description{}, fmt.Errorf("it is not a container image but an artifact of type %q", m.Config.MediaType)
	}
	var c v1.ConfigFile
	if err := readBlob(ctx, b, m.Config.Digest, &c); err != nil {
		return description{}, err
	}
	if err := checkPlatform(c, opt.Platform); err != nil {
		return description{}, err
	}
	layers, err := layersOf(m)
	return description{digest: digest.Hex, config: configOf(c), layers: layers}, err
}

func layersOf(m v1.Manifest) ([]layer, error) {
	var layers []layer
	for _, d := range m.Layers {
		name, err := blobName(d.Digest)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(string(d.MediaType), "+encrypted") {
			return nil, errors.New("its layers are encrypted: decrypt it first")
		}
		if !d.MediaType.IsLayer() && !strings.HasPrefix(string(d.MediaType), "application/vnd.oci.image.layer.") {
			return nil, fmt.Errorf("it has a layer of the unknown type %q", d.MediaType)
		}
		layers = append(layers, layer{name: name, packed: d.Digest, size: d.Size})
	}
	return layers, nil
}

// configOf copies the used parts of a configuration.
func configOf(c v1.ConfigFile) Config {
	return Config{
		OS: c.OS, Architecture: c.Architecture, Variant: c.Variant,
		Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, Env: c.Config.Env,
		WorkingDir: c.Config.WorkingDir, User: c.Config.User, Labels: c.Config.Labels,
	}
}
