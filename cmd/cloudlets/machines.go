package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/bytesize"
	"cloudlets/provision"
	"cloudlets/web"
	"cloudlets/web/roster"
)

// machineCommands are the verbs that ask the daemon about machines and images.
func machineCommands(socket *string) []*cobra.Command {
	cmds := []*cobra.Command{machinesCommand(socket), traceCommand(socket), installCommand(socket), imagesCommand(socket)}
	for _, cmd := range cmds {
		cmd.GroupID = "machines"
	}
	return cmds
}

// asking runs a verb with a client of the daemon. If no daemon answers, the exit
// code is exitNoDaemon.
func asking(socket *string, verb func(cmd *cobra.Command, c *web.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c := web.NewClient(*socket)
		defer c.Close()
		err := verb(cmd, c, args)
		if errors.Is(err, web.ErrNoDaemon) {
			return codedError{err, exitNoDaemon}
		}
		return err
	}
}

func machinesCommand(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "machines [MAC|HOSTNAME]", Short: "List the machines, or show one of them", Args: usage(cobra.MaximumNArgs(1)),
		Example: "  cloudlets machines\n  cloudlets machines node1 --json",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) error {
			if len(args) == 1 {
				return showMachine(cmd, c, args[0], asJSON)
			}
			list, err := c.Machines(cmd.Context())
			if err := show(cmd, asJSON, list, err, printMachines); err != nil || asJSON {
				return err
			}
			servers, err := c.Servers(cmd.Context())
			if err == nil {
				printServerProblems(shown(cmd), servers)
			}
			return err
		}),
		ValidArgsFunction: completeMachines(socket),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printMachines(w io.Writer, list []web.Machine) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no machines yet: switch one on, or write machines/<MAC>.json in the site")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MACHINE\tNAME\tADDRESS\tIMAGE\tSTAGE\tFOR\tNEXT BOOT")
	for _, m := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.MAC, dash(m.Hostname), dash(m.Address), dash(m.Image), stageText(m), sinceText(m.Since), m.Next.Action)
	}
	table.Flush()
	for _, m := range list {
		if !m.Described && m.Facts["cardOf"] != "" {
			fmt.Fprintf(w, "\n%s is a stranger: %s\n", m.MAC, m.Next.Reason)
		}
		if m.Failure != "" {
			fmt.Fprintf(w, "\n%s failed: %s\n", m.MAC, m.Failure)
		}
	}
}

// silence is how long a working agent may be silent before the table says so.
// It normally reports its progress every second.
const silence = time.Minute

// stageText is a stage with its progress: "stream 42% 31 MB/s 5s left".
func stageText(m web.Machine) string {
	text := string(m.Stage)
	if quiet := time.Since(m.Seen); m.Installing && quiet > silence {
		return text + ", silent for " + quiet.Round(time.Second).String() + ": look at its console"
	}
	if p := m.Progress; p != nil {
		text += fmt.Sprintf(" %d%% %s/s", p.Percent, bytesize.Decimal(p.Rate))
		if p.Left > 0 {
			text += fmt.Sprintf(" %ds left", p.Left)
		}
	}
	return text
}

func sinceText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func showMachine(cmd *cobra.Command, c *web.Client, name string, asJSON bool) error {
	m, err := c.Machine(cmd.Context(), name)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), m)
	}
	table := tabwriter.NewWriter(shown(cmd), 0, 0, 2, ' ', 0)
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
	row("stage", stageText(m.Machine))
	row("failure", m.Failure)
	row("next boot", fmt.Sprintf("%s: %s", m.Next.Action, m.Next.Reason))
	for _, fact := range []string{"firmware", "product", "serial", "uuid", "cpus", "memory", "disk"} {
		row(fact, m.Facts[fact])
	}
	for _, s := range m.Stages {
		row("  "+string(s.Stage), fmt.Sprintf("%s  %.1f s", s.Start.Local().Format("15:04:05"), s.Seconds))
	}
	return table.Flush()
}

func traceCommand(socket *string) *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use: "trace MAC|HOSTNAME", Short: "Print what a machine did, with the reason for every step", Args: exactArgs(1),
		Long: `Trace prints what a machine did since its first packet, what the server
answered, and the reason for each answer.`,
		Example: "  cloudlets trace 52:54:00:12:34:56 --follow",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) error {
			tell := func(e provision.Event) error {
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
				}
				_, err := fmt.Fprintln(shown(cmd), e)
				return err
			}
			if follow {
				return c.Follow(cmd.Context(), args[0], 0, tell)
			}
			events, err := c.Events(cmd.Context(), args[0], 0, 0)
			for _, e := range events {
				if err := tell(e); err != nil {
					return err
				}
			}
			return err
		}),
		ValidArgsFunction: completeMachines(socket),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing events as they happen")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func installCommand(socket *string) *cobra.Command {
	var cancel, dryRun, switchOn, asJSON bool
	cmd := &cobra.Command{
		Use: "install MAC|HOSTNAME", Short: "Arm a machine's install: its next network boot writes its disk", Args: exactArgs(1),
		Long: `Install arms one install: the machine's next boot from the network writes its
image to its disk, and then the machine is disarmed. The installer refuses a
disk that is not empty, unless the machine's file says "wipe": true.

With --power the machine starts at once, from the network, by what its file names as
"power" (see cloudlets power). One that is on is switched off and on again, whatever
runs there.`,
		Example: "  cloudlets install node1\n  cloudlets install 52:54:00:12:34:56 --cancel",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) error {
			m, err := armOrCancel(cmd, c, args[0], cancel, dryRun)
			if err == nil && switchOn && !dryRun {
				err = bootInstaller(cmd.Context(), c, m)
			}
			return show(cmd, asJSON, m, err, func(w io.Writer, m web.Detail) { printOrder(w, m, cancel, dryRun, switchOn) })
		}),
		ValidArgsFunction: completeMachines(socket),
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "disarm the machine")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be installed, and arm nothing")
	cmd.Flags().BoolVar(&switchOn, "power", false, "have the machine boot from the network now: it is switched on, or off and on again")
	cmd.MarkFlagsMutuallyExclusive("cancel", "power")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func armOrCancel(cmd *cobra.Command, c *web.Client, name string, cancel, dryRun bool) (web.Detail, error) {
	switch {
	case dryRun:
		return c.Machine(cmd.Context(), name)
	case cancel:
		return c.Cancel(cmd.Context(), name, caller())
	default:
		return c.Install(cmd.Context(), name, caller())
	}
}

func printOrder(w io.Writer, m web.Detail, cancel, dryRun, switchedOn bool) {
	switch {
	case dryRun && m.Spec == nil:
		fmt.Fprintf(w, "%s would not be installed: no file of the site describes it\n", m.MAC)
	case dryRun:
		fmt.Fprintf(w, "%s would be installed with %s on %s, then %s\n", m.MAC, m.Spec.Image, describeHints(m.Spec), m.Spec.Handover)
	case cancel:
		fmt.Fprintf(w, "%s is disarmed: %s\n", m.MAC, m.Next.Reason)
		if m.Warning != "" {
			fmt.Fprintf(w, "warning: %s\n", m.Warning)
		}
	default:
		fmt.Fprintf(w, "%s is armed: its next network boot installs %s on %s\n", m.MAC, m.Spec.Image, describeHints(m.Spec))
		if switchedOn {
			fmt.Fprintf(w, "it boots from the network now; watch it with: cloudlets trace %s --follow\n", m.MAC)
			return
		}
		fmt.Fprintf(w, "switch it on, and watch it with: cloudlets trace %s --follow\n", m.MAC)
	}
}

// describeHints says which disk is chosen, and whether what is on it is lost.
func describeHints(spec *web.Spec) string {
	text := "its only disk that is not removable"
	if h := spec.Disk; h != nil {
		hints, _ := json.Marshal(h)
		text = "the disk with " + strings.Trim(string(hints), "{}")
	}
	if spec.Wipe {
		return text + ", whatever is on it"
	}
	return text + ", if that is empty"
}

// caller is the user who runs the command line, for the trace.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "the command line"
}

func imagesCommand(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "images", Example: "  cloudlets images\n  cloudlets images --json", Short: "List the site's images and whether they can be booted", Args: exactArgs(0),
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, _ []string) error {
			list, err := c.Images(cmd.Context())
			return show(cmd, asJSON, list, err, printImages)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printImages(w io.Writer, list []web.Image) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no images yet: put a folder or a tarball with /.cloudlet/manifest in it into the site's images/")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tENTRY POINT\tSTATUS\tFILES\tCONTENT\tPACK\tMACHINES")
	for _, i := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%d\n", i.Name, dash(i.EntryPoint), i.Status, i.Entries, bytesize.Decimal(i.Bytes), bytesize.Decimal(i.Pack), i.Machines)
	}
	table.Flush()
	for _, i := range list {
		if i.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", i.Name, i.Error)
		}
	}
}

// completeMachines completes machines that the running daemon knows.
func completeMachines(socket *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		page, err := web.NewClient(*socket).Page(cmd.Context(), roster.Query{Search: begun})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, m := range page.Machines {
			names = append(names, cobra.CompletionWithDesc(string(m.MAC), m.Hostname))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// show prints an answer of the daemon as JSON, or for people with print. It
// returns err if the daemon answered with an error.
func show[T any](cmd *cobra.Command, asJSON bool, answer T, err error, print func(io.Writer, T)) error {
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	print(shown(cmd), answer)
	return nil
}

// shown is where text goes that has parts from machines, images and files: it
// cannot take over a person's terminal.
func shown(cmd *cobra.Command) io.Writer { return &stdio.CleanWriter{W: cmd.OutOrStdout()} }

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // no browser reads the output
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
