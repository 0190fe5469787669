package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"cloudlets/images"
	"cloudlets/images/vcs"
)

// errDirectory refuses to fill, or to change, an image's directory: what
// Windows would make of it is another image, and nobody would be told.
var errDirectory = errors.New("a directory of Windows cannot hold an image: it has no owners, no modes, and no links and names as Linux has them; keep the image as a tarball, which every other verb takes, or do this on Linux, macOS or FreeBSD")

func importE(*imageFlags) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error { return errDirectory }
}

func recoverDirectory(context.Context, string) error { return errDirectory }

func configureDirectory(context.Context, string, images.Overlay) error { return errDirectory }

func runTool(*cobra.Command, vcs.Kind, []string) error { return errDirectory }
