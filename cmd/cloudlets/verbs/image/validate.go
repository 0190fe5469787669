package image

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
)

func validateCommand() *cobra.Command {
	var (
		f      imageflags.Image
		config imageflags.Config
	)
	cmd := &cobra.Command{
		Use: "validate IMAGE --config C", Short: "Check a configuration, and print it with its defaults filled in", Args: exit.ExactArgs(1),
		Long:    "Check a configuration for an image. Print it with its defaults filled in, or everything\nthat is wrong with it.",
		Example: "  cloudlets validate debian-12.tar --config @node1.json",
	}
	f.Add(cmd)
	config.Add(cmd)
	_ = cmd.MarkFlagRequired("config")
	cmd.RunE = f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		name, text, err := config.Read(cmd)
		if err != nil {
			return err
		}
		complete, err := im.Manifest.Validate(name, text)
		if err != nil {
			return err
		}
		return printing.JSON(cmd.OutOrStdout(), complete)
	})
	return cmd
}

func validateArgsCommand() *cobra.Command {
	var f imageflags.Image
	cmd := &cobra.Command{
		Use: "validate-args IMAGE ARGS", Aliases: []string{"validate_args"},
		Short: "Check arguments, and print them with their defaults filled in", Args: exit.ExactArgs(2),
		Long:    "Check arguments for an image (the \"args\" of a configuration). Print them with their\ndefaults filled in, or everything that is wrong with them. ARGS is JSON text, @file or -.",
		Example: `  cloudlets validate-args debian-12.tar '{"role": "web"}'`,
		RunE: f.OnImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
			_, text, err := imageflags.ReadInput(cmd, args[0])
			if err != nil {
				return err
			}
			complete, err := im.Manifest.ValidateArgs(text)
			if err != nil {
				return err
			}
			return printing.JSON(cmd.OutOrStdout(), complete)
		}),
	}
	f.Add(cmd)
	return cmd
}
