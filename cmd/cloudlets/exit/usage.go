package exit

import (
	"fmt"

	"github.com/spf13/cobra"
)

// ExactArgs is cobra.ExactArgs with the exit code of wrong usage.
func ExactArgs(n int) cobra.PositionalArgs { return Args(cobra.ExactArgs(n)) }

// Args gives the errors of a check the exit code of wrong usage.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return With(fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath()), Usage)
		}
		return nil
	}
}
