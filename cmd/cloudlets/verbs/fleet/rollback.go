package fleet

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// describeSystem says what a disk has.
func describeSystem(s *api.System) string {
	text := fmt.Sprintf("%s (%.19s), installed at %s", s.Image, printing.Dash(s.Pack), printing.Clock(s.Time))
	if s.Slot != "" {
		text += ", in slot " + strings.ToUpper(s.Slot)
	}
	return text
}

func rollbackCommand(socket *string) *cobra.Command {
	o := orderFlags{rollback: true}
	cmd := &cobra.Command{
		Use: "rollback MAC|HOSTNAME...", Short: "Have a machine's next network boot go back to the system in its other slot", Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Rollback has the machine's next boot from the network start the system in the other
slot of its disk: the one before the last update, or after a fall-back the update that
did not prove itself. That system is on trial, as an update is. Nothing is installed, and
the data stay where they are. The machine's file must say "slots": 2.

The file still names the newer image, so the machine is shown as outdated afterwards.
cloudlets install MAC|HOSTNAME --cancel takes the order back.`,
		Example: "  cloudlets rollback node1\n  cloudlets rollback node1 --power --wait\n  cloudlets rollback 'node[1-20]' --dry-run",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			names, err := roster.ExpandNames(args)
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			return o.run(cmd, c, names)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	o.commonFlags(cmd)
	return cmd
}
