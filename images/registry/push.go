package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/oci"
)

const (
	// ManifestKey is the annotation of a container image that has the
	// cloudlet's manifest, as it is in the image. A reader knows by it what an
	// image is without fetching its layer.
	ManifestKey = "org.cloudlets.manifest"
	// maxAnnotation bounds that annotation in bytes: registries refuse large
	// manifests.
	maxAnnotation = 512 << 10
)

// Pushed says what Push has put into a registry.
type Pushed struct {
	// Name has the digest in place of the tag, and so means this image
	// forever.
	Name     string `json:"name"`
	Tag      string `json:"tag"`      // the name that was asked for
	Digest   string `json:"digest"`   // of the OCI manifest
	Layer    string `json:"layer"`    // digest of the only layer
	Size     int64  `json:"size"`     // of the layer, in bytes
	Platform string `json:"platform"` // e.g. "linux/arm64"
}

// Push makes a container image of a cloudlet, and puts it into a registry under
// the name text, see [IsName]. It has one layer, with all files in canonical
// order, compressed with gzip, which all container engines can read. The same
// cloudlet gives the same digest. A layer that the registry has already is not
// sent. A container runs the chroot entry point with the name entryPoint, or the
// default one if that is "".
func Push(ctx context.Context, im *images.Image, text, entryPoint string, opt Options) (Pushed, error) {
	p, err := push(ctx, im, text, entryPoint, opt)
	if err != nil {
		return Pushed{}, fmt.Errorf("push %s to %s: %w", im.Name, text, explain(err))
	}
	return p, nil
}

func push(ctx context.Context, im *images.Image, text, entryPoint string, opt Options) (p Pushed, err error) {
	ref, err := parse(text, opt)
	if err != nil {
		return p, err
	}
	if _, fixed := ref.(name.Digest); fixed {
		return p, errors.New("the digest of an image follows from its content: give a name with a tag instead")
	}
	// The login comes first: a wrong password is told before the work.
	way, err := login(ctx, ref.Context(), transport.PushScope, opt)
	if err != nil {
		return p, err
	}
	tree, err := im.Tree(ctx)
	if err != nil {
		return p, err
	}
	layer, err := newLayer(ctx, tree)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, layer.file.Close()) }()
	container, config, err := containerOf(im, tree, layer, entryPoint)
	if err != nil {
		return p, err
	}
	if err := write(ctx, ref, container, opt, remote.WithTransport(way)); err != nil {
		return p, err
	}
	digest, err := container.Digest()
	if err != nil {
		return p, err
	}
	return Pushed{
		Name: ref.Context().Name() + "@" + digest.String(), Tag: ref.Name(), Digest: digest.String(),
		Layer: layer.digest.String(), Size: layer.size, Platform: config.Platform().String(),
	}, nil
}

// write sends an image, and passes its progress on.
func write(ctx context.Context, ref name.Reference, im v1.Image, opt Options, how ...remote.Option) error {
	updates := make(chan v1.Update, 16)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { // it closes updates
		return remote.Write(ref, im, append(how, remote.WithContext(gctx), remote.WithProgress(updates))...)
	})
	g.Go(func() error {
		for u := range updates {
			if opt.Progress != nil && u.Error == nil {
				opt.Progress(u.Complete, u.Total)
			}
		}
		return nil
	})
	return g.Wait()
}

// containerOf makes a container image of a layer.
func containerOf(im *images.Image, tree images.Tree, l *layer, entryPoint string) (v1.Image, *v1.ConfigFile, error) {
	config, err := configOf(im, tree, entryPoint)
	if err != nil {
		return nil, nil, err
	}
	container := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	if container, err = mutate.ConfigFile(container, config); err != nil {
		return nil, nil, err
	}
	container, err = mutate.Append(container, mutate.Addendum{
		Layer: l, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: time.Unix(0, 0).UTC()}, CreatedBy: "cloudlets push"},
	})
	if err != nil {
		return nil, nil, err
	}
	notes, err := annotations(im, tree)
	if err != nil {
		return nil, nil, err
	}
	annotated, ok := mutate.Annotations(container, notes).(v1.Image)
	if !ok {
		return nil, nil, errors.New("annotate the image: it is not an image any more")
	}
	return annotated, config, nil
}

// annotations returns the cloudlet's manifest, and what OCI has names for.
func annotations(im *images.Image, tree images.Tree) (map[string]string, error) {
	text, err := images.ReadManifest(tree)
	if err != nil {
		return nil, err
	}
	notes := map[string]string{}
	if len(text) <= maxAnnotation {
		notes[ManifestKey] = string(text)
	}
	for key, value := range map[string]string{
		"org.opencontainers.image.title": im.Manifest.Name, "org.opencontainers.image.description": im.Manifest.Description,
	} {
		if value != "" {
			notes[key] = value
		}
	}
	return notes, nil
}

// configOf says how a container of the image runs: as the verb chroot does. An
// image without a program for that has no command, so that the user of a
// container gives one.
func configOf(im *images.Image, tree images.Tree, entryPoint string) (*v1.ConfigFile, error) {
	c := &v1.ConfigFile{OS: "linux", Created: v1.Time{Time: time.Unix(0, 0).UTC()}, RootFS: v1.RootFS{Type: "layers"}}
	c.Architecture, c.Variant = architecture(im)
	entry, err := boot.Chroot(im.Manifest, tree, entryPoint)
	if errors.Is(err, boot.ErrNoProgram) && entryPoint == "" {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	c.Config.Cmd = append([]string{entry.Path}, entry.Args...)
	for _, name := range slices.Sorted(maps.Keys(entry.Env)) {
		c.Config.Env = append(c.Config.Env, name+"="+entry.Env[name])
	}
	if _, ok := entry.Env["PATH"]; !ok {
		c.Config.Env = append(c.Config.Env, "PATH="+defaultPath)
	}
	return c, nil
}

// defaultPath is where containers look for programs.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// architecture returns the architecture and its variant by the names that OCI
// has for them, which are Go's. The manifest knows it, or else the container
// image that the files came from, or else it is that of this machine.
func architecture(im *images.Image) (arch, variant string) {
	switch arch = boot.ArchName(im.Manifest.Arch); arch {
	case "":
		if from, ok := im.Source.(*oci.Image); ok {
			return from.Config().Architecture, from.Config().Variant
		}
		return runtime.GOARCH, ""
	case "i386":
		return "386", ""
	case "arm64":
		return arch, "v8"
	}
	return arch, ""
}
