//go:build !linux

package image

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
)

// This file refuses what only Linux can do, in one sentence that says what to do
// instead. The verbs and their flags are the same on every system.

// chrootChildCommand keeps the hidden verb, which returns the same error.
func chrootChildCommand() *cobra.Command {
	return &cobra.Command{Use: chrootVerb, Hidden: true, RunE: func(*cobra.Command, []string) error { return errChroot() }}
}

func (f *chrootFlags) runE() func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error { return errChroot() }
}

func errChroot() error { return exit.NeedsLinux("entering an image", "run it there") }
