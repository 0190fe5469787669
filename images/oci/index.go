package oci

import (
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// maxDepth is how many indexes may be in one another.
	maxDepth = 4
	// maxManifests bounds the manifests that are looked at.
	maxManifests = 1000
)

// Annotations that name an image.
const (
	refNameKey = "org.opencontainers.image.ref.name"
	// imageNameKey has the whole name, in layouts of containerd and docker.
	imageNameKey = "io.containerd.image.name"
	// referenceKey marks what is about an image and none itself.
	referenceKey = "vnd.docker.reference.type"
)

// fromIndex finds the image in an OCI layout.
func fromIndex(b bundle, opt Options) (description, error) {
	var index v1.IndexManifest
	if err := readJSON(b, indexName, &index); err != nil {
		return description{}, err
	}
	var all []candidate
	if err := expand(b, index.Manifests, nil, 1, &all); err != nil {
		return description{}, err
	}
	chosen, err := choose(all, opt)
	if err != nil {
		return description{}, err
	}
	return describe(b, chosen.digest, opt)
}

// expand lists the images of an index, and of the indexes in it, which have
// the names of the outer one.
func expand(b bundle, list []v1.Descriptor, names []string, depth int, all *[]candidate) error {
	if depth > maxDepth {
		return fmt.Errorf("its indexes are more than %d deep in one another", maxDepth)
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
		if err := readBlob(b, d.Digest, &inner); err != nil {
			return err
		}
		if err := expand(b, inner.Manifests, called, depth+1, all); err != nil {
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

// describe reads an image's manifest and configuration.
func describe(b bundle, digest v1.Hash, opt Options) (description, error) {
	var m v1.Manifest
	if err := readBlob(b, digest, &m); err != nil {
		return description{}, err
	}
	if !m.Config.MediaType.IsConfig() {
		return description{}, fmt.Errorf("it is no container image, but an artifact of type %q", m.Config.MediaType)
	}
	var c v1.ConfigFile
	if err := readBlob(b, m.Config.Digest, &c); err != nil {
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

// configOf takes over what matters to us.
func configOf(c v1.ConfigFile) Config {
	return Config{
		OS: c.OS, Architecture: c.Architecture, Variant: c.Variant,
		Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, Env: c.Config.Env,
		WorkingDir: c.Config.WorkingDir, User: c.Config.User, Labels: c.Config.Labels,
	}
}
