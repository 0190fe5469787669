package imageflags

import (
	"context"

	"github.com/spf13/cobra"

	"cloudlets/images"
	"cloudlets/images/layers"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
)

// OnSystem calls do with a configured copy of an image. If no configuration is
// given, the copy gets the empty one, or stays as it is if the image was
// configured before. Pointers says when to look for Git LFS pointers.
func (f *Config) OnSystem(cmd *cobra.Command, im *images.Image, what string, pointers PointerCheck, do func(target.System) error) error {
	tree, err := im.Tree(cmd.Context())
	if err != nil {
		return err
	}
	c, err := f.Load(cmd)
	if err != nil {
		return err
	}
	env, err := f.Environment(what)
	if err != nil {
		return err
	}
	files, volatile, err := target.CopyOf(im.Manifest, tree)
	if err != nil {
		return err
	}
	system := target.System{Name: im.Name, Manifest: im.Manifest, Source: files, Tree: tree}
	if err := pointers.on(cmd.Context(), &system); err != nil {
		return err
	}
	return f.WithSandbox(func(render images.Renderer) error {
		system.Cmdline = func(ctx context.Context, template string) (string, error) {
			return im.Cmdline(ctx, render, template, c, env)
		}
		if err := f.configureSystem(cmd.Context(), im, &system, render, c, env); err != nil {
			return err
		}
		system.Source = layers.Select(system.Source, WithManifest(func(path string) bool { return !volatile(path) }))
		return do(system)
	})
}

func (f *Config) configureSystem(ctx context.Context, im *images.Image, s *target.System, render images.Renderer, c manifest.Config, env map[string]any) (err error) {
	if s.Overlay, err = im.Overlay(ctx, s.Tree, render, c, env); err != nil {
		return err
	}
	s.Source = layers.Overlay(s.Source, s.Overlay)
	return nil
}

// WithManifest also selects the manifest and the record of a configuration,
// since the result would not be a cloudlet without them.
func WithManifest(selected func(string) bool) func(string) bool {
	return func(p string) bool {
		return p == images.ManifestPath || p == images.AppliedConfigPath || selected(p)
	}
}
