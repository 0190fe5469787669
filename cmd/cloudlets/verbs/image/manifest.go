package image

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
	"cloudlets/images/manifest"
)

func specsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "specs", Short: "Print the JSON schema of manifests", Args: exit.ExactArgs(0),
		Long:    "Print the JSON schema (2020-12) that a manifest is validated against when it is loaded.",
		Example: "  cloudlets specs > manifest.schema.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printing.Raw(cmd.OutOrStdout(), manifest.Schema())
		},
	}
}

func manifestCommand() *cobra.Command {
	var f imageflags.Image
	cmd := &cobra.Command{
		Use: "manifest IMAGE", Short: "Print an image's manifest", Args: exit.ExactArgs(1),
		Long:    "Print an image's manifest exactly as it was written, including names that are not part of\nthe format.",
		Example: "  cloudlets manifest debian-12.tar.zst\n  cloudlets manifest web@v1.2 | jq .entrypoints",
		RunE: f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			return printing.Raw(cmd.OutOrStdout(), im.Manifest.JSON())
		}),
	}
	f.Add(cmd)
	return cmd
}

func schemaCommand() *cobra.Command {
	var f imageflags.Image
	cmd := &cobra.Command{
		Use: "schema IMAGE", Short: "Print the schema of a configuration for an image", Args: exit.ExactArgs(1),
		Long:    "Print the JSON schema (2020-12) that a configuration for an image must match. You pass the\nconfiguration with --config.",
		Example: "  cloudlets schema debian-12.tar | jq .properties.args",
		RunE: f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			return printing.Raw(cmd.OutOrStdout(), im.Manifest.ConfigSchema())
		}),
	}
	f.Add(cmd)
	return cmd
}
