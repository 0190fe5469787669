package main

import (
	"github.com/spf13/cobra"

	"cloudlets/images"
)

func validateCommand() *cobra.Command {
	var (
		f      imageFlags
		config configFlags
	)
	cmd := &cobra.Command{
		Use: "validate IMAGE --config C", Short: "Check a configuration, and print it with its defaults filled in", Args: exactArgs(1),
		Long:    "Check a configuration for an image. Print it with its defaults filled in, or everything\nthat is wrong with it.",
		Example: "  cloudlets validate debian-12.tar --config @node1.json",
	}
	f.add(cmd)
	config.add(cmd)
	_ = cmd.MarkFlagRequired("config")
	cmd.RunE = f.onImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		name, text, err := config.read(cmd)
		if err != nil {
			return err
		}
		complete, err := im.Manifest.Validate(name, text)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), complete)
	})
	return cmd
}

func validateArgsCommand() *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use: "validate-args IMAGE ARGS", Aliases: []string{"validate_args"},
		Short: "Check arguments, and print them with their defaults filled in", Args: exactArgs(2),
		Long:    "Check arguments for an image (the \"args\" of a configuration). Print them with their\ndefaults filled in, or everything that is wrong with them. ARGS is JSON text, @file or -.",
		Example: `  cloudlets validate-args debian-12.tar '{"role": "web"}'`,
		RunE: f.onImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
			_, text, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			complete, err := im.Manifest.ValidateArgs(text)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), complete)
		}),
	}
	f.add(cmd)
	return cmd
}
