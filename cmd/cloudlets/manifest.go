package main

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

func specsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "specs", Short: "Print the JSON schema of manifests", Args: exactArgs(0),
		Long:    "Print the JSON schema (2020-12) that a manifest is validated against when it is loaded.",
		Example: "  cloudlets specs > manifest.schema.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printRaw(cmd.OutOrStdout(), manifest.Schema())
		},
	}
}

func manifestCommand() *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use: "manifest IMAGE", Short: "Print an image's manifest", Args: exactArgs(1),
		Long:    "Print an image's manifest exactly as it was written, including names that are not part of\nthe format.",
		Example: "  cloudlets manifest debian-12.tar.zst\n  cloudlets manifest web@v1.2 | jq .entrypoints",
		RunE: f.onImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			return printRaw(cmd.OutOrStdout(), im.Manifest.JSON())
		}),
	}
	f.add(cmd)
	return cmd
}

func schemaCommand() *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use: "schema IMAGE", Short: "Print the schema of a configuration for an image", Args: exactArgs(1),
		Long:    "Print the JSON schema (2020-12) that a configuration for an image must match. You pass the\nconfiguration with --config.",
		Example: "  cloudlets schema debian-12.tar | jq .properties.args",
		RunE: f.onImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			return printRaw(cmd.OutOrStdout(), im.Manifest.ConfigSchema())
		}),
	}
	f.add(cmd)
	return cmd
}

// printRaw prints a JSON text unchanged, with one end of line after it.
func printRaw(w io.Writer, text json.RawMessage) error {
	_, err := w.Write(append(bytes.TrimRight(text, " \t\r\n"), '\n'))
	return err
}
