package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/bytesize"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func confirmCommand(socket *string) *cobra.Command {
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "confirm MAC|HOSTNAME...", Short: "Let installs that wait for a person write their disks", Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Confirm shows what the installer on a machine is about to do, and lets it begin:
which disk it writes, what is on that, what is lost, and the partitions that it
makes. Machines wait for that if their file or profile says "confirm": true, or if
they were armed with cloudlets install --confirm. What is confirmed is what is shown:
if the installer starts again and finds another disk, or other things on it, it asks
again.

With --dry-run it only shows the plan. cloudlets install NAME --cancel calls the
install off instead; nothing was written then.`,
		Example: "  cloudlets confirm node1 --dry-run\n  cloudlets confirm node1\n  cloudlets confirm 'node[1-20]'",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			names, err := roster.ExpandNames(args)
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			list := []api.Detail{} // a list in JSON, even if it is empty
			var failures []error
			for _, name := range names {
				m, err := confirmOne(cmd, c, name, dryRun, asJSON)
				if err != nil {
					failures = append(failures, err)
					continue
				}
				list = append(list, m)
			}
			if asJSON {
				failures = append(failures, printing.JSON(cmd.OutOrStdout(), list))
			}
			return errors.Join(failures...)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show the plans, and confirm nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of the machines")
	return cmd
}

// confirmOne shows the plan of one machine, and confirms what it has shown.
func confirmOne(cmd *cobra.Command, c *api.Client, name string, dryRun, quiet bool) (api.Detail, error) {
	m, err := c.Machine(cmd.Context(), name)
	if err != nil {
		return m, err
	}
	if m.Plan == nil || !m.Plan.Waits {
		return m, fmt.Errorf("%s waits for nobody to confirm its plan: it is in the stage %q", cmp.Or(m.Hostname, string(m.MAC)), m.Stage)
	}
	w := printing.Text(cmd)
	if quiet {
		w = io.Discard
	}
	printPlan(w, m)
	if dryRun {
		return m, nil
	}
	m, err = c.Confirm(cmd.Context(), string(m.MAC), api.Confirmation{By: ask.Caller(), Digest: m.Plan.Digest})
	if err == nil {
		fmt.Fprintf(w, "confirmed; watch it with: cloudlets trace %s --follow\n", m.MAC)
	}
	return m, err
}

func printPlan(w io.Writer, m api.Detail) {
	fmt.Fprintf(w, "%s will write %s\n", cmp.Or(m.Hostname, string(m.MAC)), m.Plan.Image)
	planRows(func(name, value string) { fmt.Fprintf(w, "  %-12s %s\n", name, value) }, m.Plan)
}

// planRows says what an installer is about to do.
func planRows(row func(name, value string), p *api.Plan) {
	if p == nil {
		return
	}
	row("to disk", "/dev/"+p.Disk.String())
	row("on it now", cmp.Or(p.Disk.Contents, "nothing"))
	if p.Second != nil {
		row("and to disk", "/dev/"+p.Second.String())
		row("on it now", cmp.Or(p.Second.Contents, "nothing"))
	}
	row("lost", cmp.Or(p.Lost, "nothing"))
	for _, text := range p.Notices {
		row("note", text)
	}
	for _, part := range p.Layout {
		row("partition", part.String())
	}
	row("content", p.Pack)
	row("to fetch", bytesize.Decimal(p.Fetch))
}

// planStatus says what became of a plan.
func planStatus(m api.Detail) string {
	text := "its installer said that it will write " + m.Plan.Image
	switch {
	case m.Plan.Waits:
		return text + fmt.Sprintf(" once that is confirmed: `cloudlets confirm %s`", cmp.Or(m.Hostname, string(m.MAC)))
	case m.Plan.ConfirmedBy != "":
		return text + "; confirmed by " + m.Plan.ConfirmedBy
	}
	return text
}
