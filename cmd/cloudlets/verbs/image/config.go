package image

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
)

func configCommand() *cobra.Command {
	var (
		f      imageflags.Image
		config imageflags.Config
	)
	cmd := &cobra.Command{
		Use: "config IMAGE [--config C]", Short: "Configure a directory in place, or show how it was configured", Args: exit.ExactArgs(1),
		Long: `Apply a configuration to a directory: render its templates in place and record
the configuration in ` + images.AppliedConfigPath + `. Either all files change or none:
if a template fails, nothing has changed, and if the power fails, the next
"cloudlets config" completes the change. A directory can be configured only
once, because the results replace its templates.

Without --config, print the configuration that was applied.`,
		Example: `  cloudlets config /srv/web1 --config '{"args": {"role": "web"}}' --env hostname=web1
  cloudlets config /srv/web1`,
	}
	f.Add(cmd)
	config.Add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if config.Given() {
			if err := recoverDirectory(cmd.Context(), args[0]); err != nil {
				return err
			}
		}
		return f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			if !config.Given() {
				return showApplied(cmd, im)
			}
			return configure(cmd, im, &config)
		})(cmd, args)
	}
	return cmd
}

// configure applies a configuration in place.
func configure(cmd *cobra.Command, im *images.Image, config *imageflags.Config) error {
	if !isRootDirectory(im.Path) {
		return fmt.Errorf("configure %s: only a directory can be configured in place; `cloudlets tar --config` writes a configured copy", im.Path)
	}
	overlay, err := config.Overlay(cmd, im, "config")
	if err != nil {
		return err
	}
	return configureDirectory(cmd.Context(), im.Path, overlay)
}

// showApplied prints the configuration that was applied to an image.
func showApplied(cmd *cobra.Command, im *images.Image) error {
	text, err := imageflags.Applied(cmd.Context(), im)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was not configured: there is no %s in it; --config configures it", im.Path, images.AppliedConfigPath)
	}
	if err != nil {
		return err
	}
	return printing.Raw(cmd.OutOrStdout(), text)
}
