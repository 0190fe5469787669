// Package sandbox has the process of this program that renders the templates of others, which
// may use up its memory and its time.
package sandbox

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/images/ejs"
)

// Verb is the hidden verb that renders templates in a child process.
const Verb = "render-child"

// Command is the hidden verb. Its parent is this program, and speaks with it over its standard
// input and output.
func Command() *cobra.Command {
	var low bool
	cmd := &cobra.Command{
		Use: Verb, Hidden: true, Args: exit.ExactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if low {
				lowPriority()
			}
			return ejs.ServeChild(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&low, "low", false, "leave the processors to others")
	return cmd
}
