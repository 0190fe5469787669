package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// dockerImage is one image in the manifest of an archive of docker.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// fromDocker finds the image in an archive of docker. Its layers have no
// digests of their own, but the configuration has the digests of the unpacked
// layers.
func fromDocker(ctx context.Context, b Bundle, opt Options) (description, error) {
	var list []dockerImage
	if err := readJSON(ctx, b, dockerName, &list); err != nil {
		return description{}, err
	}
	if len(list) > maxManifests {
		return description{}, fmt.Errorf("it has more than %d images", maxManifests)
	}
	var all []candidate
	configs := make([]v1.ConfigFile, len(list))
	for i, image := range list {
		digest, err := readDockerConfig(ctx, b, memberName(image.Config), &configs[i])
		if err != nil {
			return description{}, err
		}
		is := &v1.Platform{OS: configs[i].OS, Architecture: configs[i].Architecture, Variant: configs[i].Variant}
		all = append(all, candidate{names: append(image.RepoTags, digest.String()), platform: is, digest: digest, docker: i})
	}
	chosen, err := choose(all, opt)
	if err != nil {
		return description{}, err
	}
	c := configs[chosen.docker]
	if err := checkPlatform(c, opt.Platform); err != nil {
		return description{}, err
	}
	layers, err := dockerLayers(list[chosen.docker], c)
	return description{digest: chosen.digest.Hex, config: configOf(c), layers: layers}, err
}

// readDockerConfig reads a configuration and checks it against its name, which
// is its digest.
func readDockerConfig(ctx context.Context, b Bundle, name string, c *v1.ConfigFile) (v1.Hash, error) {
	text, err := readFile(ctx, b, name)
	if err != nil {
		return v1.Hash{}, err
	}
	sum := sha256.Sum256(text)
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
	said := strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	if len(said) == len(digest.Hex) && said != digest.Hex {
		return v1.Hash{}, fmt.Errorf("read %s: %w", name, errDamaged)
	}
	if err := json.Unmarshal(text, c); err != nil {
		return v1.Hash{}, fmt.Errorf("read %s: %w", name, err)
	}
	return digest, nil
}

func dockerLayers(image dockerImage, c v1.ConfigFile) ([]layer, error) {
	if len(image.Layers) != len(c.RootFS.DiffIDs) {
		return nil, fmt.Errorf("it has %d layers, but its configuration lists %d", len(image.Layers), len(c.RootFS.DiffIDs))
	}
	var layers []layer
	for i, name := range image.Layers {
		layers = append(layers, layer{name: memberName(name), plain: c.RootFS.DiffIDs[i], size: -1})
	}
	return layers, nil
}
