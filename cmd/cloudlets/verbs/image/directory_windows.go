package image

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/images"
	"cloudlets/images/vcs"
)

// errDirectory refuses to fill or to change an image's directory. Windows would
// silently make a different image of it.
var errDirectory = errors.New("a directory on Windows cannot hold an image: Windows has no Unix owners and modes, and other rules for links and names; keep the image as a tarball, which every other verb takes, or do this on Linux, macOS or FreeBSD")

func importE(*imageflags.Image, *bool) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error { return errDirectory }
}

func recoverDirectory(context.Context, string) error { return errDirectory }

func configureDirectory(context.Context, string, images.Overlay) error { return errDirectory }

func runTool(*cobra.Command, vcs.Kind, []string) error { return errDirectory }

// setMetadata does nothing: Windows has no Unix owners and modes.
func setMetadata(string, []images.Entry) error { return nil }
