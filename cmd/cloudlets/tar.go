package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/layers"
	"cloudlets/images/tarball"
)

func tarCommand() *cobra.Command {
	var (
		f       imageFlags
		classes classFlags
		config  configFlags
		out     outFlags
	)
	cmd := &cobra.Command{
		Use: "tar IMAGE [--config C] [--only CLASS,…]", Short: "Write an image as a tarball, configured on the way",
		Long: `Write an image as a tarball. With --config the templates are rendered in the
tarball; the image itself does not change. The tarball is a cloudlet again. If
its name ends in .gz, .zst or .xz, it is compressed.`,
		Example: `  cloudlets tar /srv/web --out web.tar.zst
  cloudlets tar web@v1.2 --config @web1.json --env hostname=web1 | ssh web1 tar -x -C /mnt
  cloudlets tar web.tar --only templates | tar -t`,
	}
	f.add(cmd)
	classes.add(cmd)
	config.add(cmd)
	out.add(cmd)
	cmd.Args = classes.args(1)
	cmd.RunE = classes.instead(f.onImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		src, err := configured(cmd, im, &config, "tar")
		if err != nil {
			return err
		}
		src = layers.Select(src, withManifest(classes.selector(im.Manifest)))
		return out.write(cmd, func(ctx context.Context, w io.Writer) error {
			return stdio.Compress(ctx, out.out, w, func(ctx context.Context, w io.Writer) error { return tarball.Write(ctx, w, src) })
		})
	}))
	return cmd
}

// configured returns an image's source, with a configuration applied if one is
// given.
func configured(cmd *cobra.Command, im *images.Image, config *configFlags, target string) (images.Source, error) {
	if !config.given() {
		return im.Source, nil
	}
	overlay, err := config.overlay(cmd, im, target)
	if err != nil {
		return nil, err
	}
	return layers.Overlay(im.Source, overlay), nil
}

// withManifest also selects the manifest and the record of a configuration,
// since the result would not be a cloudlet without them.
func withManifest(selected func(string) bool) func(string) bool {
	return func(p string) bool {
		return p == images.ManifestPath || p == images.AppliedConfigPath || selected(p)
	}
}
