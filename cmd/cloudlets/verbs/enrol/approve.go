package enrol

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
)

func approveCommand(socket *string) *cobra.Command {
	var f approveFlags
	var install, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "approve MAC... | --waiting", Short: "Make strangers machines of the site: write their files", Args: exit.Args(f.args),
		Long: `Approve writes the files of machines into machines/ of the site. All are checked
first, as if they were there; if one would be a mistake, none is written.
A file that is there keeps its comments and what no flag names.

With several machines, --name and --address are patterns, and each machine takes
the next. node[1-40] is a list. In node{n:02} and 10.0.3.{n+10}, {n} counts the
machines, from --first. Machines get their numbers in the order in which you
name them, or in that of --sort, which --waiting has by default:

  since   by when they began to wait: as you switched them on
  mac     by their MAC addresses
  serial  by their serial numbers
  port    by the switch that they are at, and by its port

--waiting takes all strangers that were inspected and wait, except those that
seem to be further network cards of machines. Try it with --dry-run.

A stranger that was inspected and waits starts again, as its file says.`,
		Example: `  cloudlets approve 52:54:00:12:34:56 --profile web --name node41
  cloudlets approve 52:54:00:12:34:56 --image debian-12 --name node41 --install
  cloudlets approve --waiting --sort port --profile web --name 'node[1-40]' --address '10.0.3.[11-50]' --dry-run
  cloudlets approve --waiting --profile web --name 'r3-{n:02}' --address '10.0.3.{n+10}' --first 5`,
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			machines, err := f.machines(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			done, err := c.Approve(cmd.Context(), api.Approvals{By: ask.Caller(), Machines: machines, Install: install, DryRun: dryRun})
			return printing.Answer(cmd, asJSON, done, err, func(w io.Writer, done api.Approved) { printApproved(w, done, dryRun) })
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	f.add(cmd)
	ask.CompleteFlags(cmd, socket)
	cmd.Flags().BoolVar(&install, "install", false, "arm their installs, too")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the files, and write nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printApproved(w io.Writer, done api.Approved, dryRun bool) {
	for _, f := range done.Files {
		if dryRun {
			fmt.Fprintf(w, "%s would be\n%s", f.File, f.Text)
		} else {
			fmt.Fprintf(w, "%s is written\n", f.File)
		}
	}
}
