package image

import (
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/images/dirtree"
	"cloudlets/images/survey"
)

// tellKernel tells how to add a kernel to an image that was unpacked into a
// directory and has none. The image is complete without this hint, so a file that
// cannot be read is no error.
func tellKernel(cmd *cobra.Command, dir string) {
	tree, err := dirtree.Open(dir)
	if err != nil {
		return
	}
	findings, err := survey.Survey(cmd.Context(), tree, survey.Options{})
	if err != nil {
		return
	}
	if command := findings.AddKernel(); command != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "it has no kernel, so it can be entered but not booted; to add one: cloudlets chroot %s --write -- %s\n", dir, command)
	}
}
