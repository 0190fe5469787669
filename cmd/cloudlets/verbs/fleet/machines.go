package fleet

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/bytesize"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func machinesCommand(socket *string) *cobra.Command {
	var f machineFilter
	var t machineTable
	var asJSON bool
	var watch bool
	cmd := &cobra.Command{
		Use: "machines [MAC|HOSTNAME]...", Short: "List the machines, or show one of them",
		Long: `Machines lists the machines that the site describes and those that were seen.
With one name it shows that machine in detail; with several, and with ranges
such as node[1-20], it lists those.

A machine is outdated if the system on its disk is not the one that it would
get now. It is quiet if it was not heard for longer than its stage takes; the
list then says the usual cause.

Columns for --columns are:

` + columnTable() + `
With --columns, nothing but the table is printed.`,
		Example: "  cloudlets machines\n  cloudlets machines --outdated --profile web --sort stage\n  cloudlets machines --tag rack3\n  cloudlets machines --columns name,has,seen --sort -seen\n  cloudlets machines 'node[1-20]' --watch\n  cloudlets machines node1 --json",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			names, err := roster.ExpandNames(args)
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			if err := t.read(); err != nil {
				return exit.With(err, exit.Usage)
			}
			if len(args) == 1 && len(names) == 1 && !watch && f == (machineFilter{}) && t.isPlain() {
				return showMachine(cmd, c, names[0], asJSON)
			}
			if watch {
				return printing.Watch(cmd, func(w io.Writer) error { return listMachines(cmd, c, w, args, f, t, false) })
			}
			return listMachines(cmd, c, printing.Text(cmd), args, f, t, asJSON)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	f.flags(cmd)
	ask.CompleteFlags(cmd, socket)
	t.flags(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the list anew every second, until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("watch", "json")
	cmd.MarkFlagsMutuallyExclusive("columns", "json") // which has all of them
	return cmd
}

// machineFilter selects machines.
type machineFilter struct {
	outdated, quiet, failed, installing, waiting, strangers bool
	image, profile, tag                                     string
}

func (f *machineFilter) flags(cmd *cobra.Command) {
	for _, flag := range []struct {
		to         *bool
		name, help string
	}{
		{&f.outdated, "outdated", "only machines that have another system than they shall have"},
		{&f.quiet, "quiet", "only machines that were not heard for longer than their stage takes"},
		{&f.failed, "failed", "only machines whose last install failed"},
		{&f.installing, "installing", "only machines that are being installed now"},
		{&f.waiting, "armed", "only machines whose next boot installs"},
		{&f.strangers, "strangers", "only machines that no file describes"},
	} {
		cmd.Flags().BoolVar(flag.to, flag.name, false, flag.help)
	}
	cmd.Flags().StringVar(&f.image, "image", "", "only machines whose file names this image, or that have it")
	cmd.Flags().StringVar(&f.profile, "profile", "", "only machines whose file extends this profile, itself or by another one")
	cmd.Flags().StringVar(&f.tag, "tag", "", "only machines that have this tag")
	cmd.MarkFlagsMutuallyExclusive("outdated", "quiet", "failed", "installing", "armed", "strangers")
}

// list is the daemon's list that has all machines of the filter.
func (f *machineFilter) list() roster.List {
	for list, set := range map[roster.List]bool{
		roster.Outdated: f.outdated, roster.Quiet: f.quiet, roster.List(provision.StageFailed): f.failed,
		roster.Installing: f.installing, roster.Waiting: f.waiting, roster.Strangers: f.strangers,
	} {
		if set {
			return list
		}
	}
	return roster.All
}

func listMachines(cmd *cobra.Command, c *api.Client, w io.Writer, names []string, f machineFilter, t machineTable, asJSON bool) error {
	query := roster.Query{List: f.list(), Image: f.image, Profile: f.profile, Tag: f.tag, Order: t.order, Descending: t.descending}
	if len(names) > 0 {
		query.Names = names
	}
	if asJSON {
		list, err := c.Machines(cmd.Context(), query)
		if err != nil {
			return err
		}
		return printing.JSON(cmd.OutOrStdout(), list)
	}
	asked := make(chan serversAnswer, 1)
	if t.chosen == "" { // while the table is read
		go func() {
			servers, err := c.Servers(cmd.Context())
			asked <- serversAnswer{servers, err}
		}()
	}
	rows, err := api.MachineRows(cmd.Context(), c, query, func(m *api.Machine) tableRow {
		row := tableRow{text: t.row(m)}
		if t.chosen == "" && isNoted(m) {
			kept := *m
			row.noted = &kept
		}
		return row
	}, t.keys()...)
	if err != nil {
		return err
	}
	if len(rows) == 0 && (f != machineFilter{} || len(names) > 0) {
		fmt.Fprintln(w, "no such machines")
	} else if len(rows) == 0 {
		fmt.Fprintln(w, "no machines yet: switch one on, or write machines/<MAC>.json in the site")
	} else {
		t.print(w, rows)
	}
	if t.chosen != "" {
		return nil
	}
	notesErr := printNotes(cmd.Context(), c, w, rows)
	answer := <-asked
	if answer.err == nil {
		printing.Warnings(w, answer.servers.Warnings)
	}
	return errors.Join(notesErr, answer.err)
}

type serversAnswer struct {
	servers api.Servers
	err     error
}

// tableRow is a machine in the table.
type tableRow struct {
	text  string
	noted *api.Machine // nil if the row tells all that a person has to know
}

// stageText is a stage with its progress and what is wrong with it: "stream 42% 31 MB/s
// 5s left", "running, outdated".
func stageText(m *api.Machine) string {
	text := string(m.Stage)
	if m.Stage == provision.StageNew && !m.Asked.IsZero() {
		text += ", asks by DHCP"
	}
	if p := m.Progress; p != nil {
		text += fmt.Sprintf(" %d%%", p.Percent)
		if p.Rate > 0 {
			text += fmt.Sprintf(" %s/s", bytesize.Decimal(p.Rate))
		}
		if p.Left > 0 {
			text += fmt.Sprintf(" %ds left", p.Left)
		}
	}
	if m.Quiet != nil {
		text += ", quiet"
	}
	if len(m.Outdated) > 0 {
		text += ", outdated"
	}
	return text
}

func showMachine(cmd *cobra.Command, c *api.Client, name string, asJSON bool) error {
	m, err := c.Machine(cmd.Context(), name)
	if err != nil {
		return err
	}
	if asJSON {
		return printing.JSON(cmd.OutOrStdout(), m)
	}
	table := tabwriter.NewWriter(printing.Text(cmd), 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	row("machine", string(m.MAC))
	if m.Spec != nil {
		for _, card := range m.Spec.MACs {
			row("further card", string(card))
		}
	}
	row("name", m.Hostname)
	row("address", m.Address)
	row("image", m.Image)
	row("tags", strings.Join(m.Tags, " "))
	row("profiles", strings.Join(m.Profiles, ", "))
	if m.Spec != nil {
		for _, v := range m.Spec.Rules {
			row("rule", v.Rule+" "+v.Why)
		}
	}
	row("stage", stageText(&m.Machine))
	row("failure", m.Failure)
	if m.Quiet != nil {
		row("quiet since", printing.Clock(m.Quiet.Since)+": "+m.Quiet.Cause)
	}
	if m.Has != nil {
		row("has", describeSystem(m.Has))
	}
	if m.Live != nil {
		row("in memory", describeSystem(m.Live))
	}
	if m.Kept != nil {
		row("other slot", describeSystem(m.Kept))
	}
	if m.Running != nil {
		row("running since", fmt.Sprintf("%s, %.0f s after its kernel started", printing.Clock(m.Running.Time), m.Running.Boot.Seconds()))
	}
	if !m.Asked.IsZero() {
		row("system", "asked by DHCP at "+printing.Clock(m.Asked)+"; that was an operating system, and not the firmware")
	}
	row("outdated", strings.Join(m.Outdated, "; "))
	if r := m.Report; r != nil {
		row("last install", fmt.Sprintf("fetched %s, wrote %d files with %s", bytesize.Decimal(r.Fetched), r.Files, bytesize.Decimal(r.Written)))
		row("  took", r.Times())
		row("  read back", strings.Join(r.Digests, " and "))
	}
	for _, problem := range m.Problems {
		row("problem", problem)
	}
	if m.Booted != nil {
		row("booted last", m.Booted.String())
	}
	if m.Plan != nil {
		row("plan", planStatus(m))
		planRows(func(name, value string) { row("  "+name, value) }, m.Plan)
	}
	row("next boot", fmt.Sprintf("%s: %s", m.Next.Action, m.Next.Reason))
	for _, fact := range []string{"firmware", "product", "serial", "uuid", "cpus", "memory", "disk"} {
		row(fact, m.Facts[fact])
	}
	inspectionRows(row, m)
	for _, s := range m.Stages {
		row("  "+string(s.Stage), fmt.Sprintf("%s  %.1f s", s.Start.Local().Format("15:04:05"), s.Seconds))
	}
	return table.Flush()
}
