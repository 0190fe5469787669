package image

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/outfile"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/layers"
	"cloudlets/images/tarball"
)

func tarCommand() *cobra.Command {
	var (
		f       imageflags.Image
		classes classFlags
		config  imageflags.Config
		out     outfile.Flags
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
	f.Add(cmd)
	classes.add(cmd)
	config.Add(cmd)
	out.Add(cmd)
	cmd.Args = classes.args(1)
	cmd.RunE = classes.instead(f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		src, err := configured(cmd, im, &config, "tar")
		if err != nil {
			return err
		}
		src = layers.Select(src, imageflags.WithManifest(classes.selector(im.Manifest)))
		return out.Write(cmd, func(ctx context.Context, w io.Writer) error {
			return stdio.Compress(ctx, out.Out, w, func(ctx context.Context, w io.Writer) error { return tarball.Write(ctx, w, src) })
		})
	}))
	return cmd
}

// configured returns an image's source, with a configuration applied if one is
// given.
func configured(cmd *cobra.Command, im *images.Image, config *imageflags.Config, target string) (images.Source, error) {
	if !config.Given() {
		return im.Source, nil
	}
	overlay, err := config.Overlay(cmd, im, target)
	if err != nil {
		return nil, err
	}
	return layers.Overlay(im.Source, overlay), nil
}
