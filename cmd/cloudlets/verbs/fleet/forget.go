package fleet

import (
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
)

func forgetCommand(socket *string) *cobra.Command {
	return &cobra.Command{
		Use: "forget MAC", Short: "Remove what is known of a machine that no file describes", Args: exit.ExactArgs(1),
		Long: `Forget removes events, state and inspection of a machine that no file of the
site describes. If it is switched on again, it is seen as a new stranger. What
was installed on it is forgotten, too.`,
		Example: "  cloudlets forget 52:54:00:12:34:56",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			if err := c.Forget(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(printing.Text(cmd), "%s is forgotten\n", args[0])
			return err
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, 1),
	}
}
