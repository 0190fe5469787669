package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/site"
	"cloudlets/web/api"
)

func rolloutsCommand(socket *string) *cobra.Command {
	var f rolloutFlags
	cmd := &cobra.Command{
		Use: "rollouts [NAME]", Short: "List the roll-outs, or show, follow, stop or resume one of them", Args: exit.Args(cobra.MaximumNArgs(1)),
		Long: `Rollouts lists what cloudlets install --at-a-time began, the latest first. With a name
it shows each machine of that roll-out: waiting, armed, installing, good or bad.

With --stop no further machine is armed. Those that are armed or installing go on;
cloudlets install NAME --cancel calls one off. With --resume it goes on, and machines
that are bad do not count any more.

Any server that shares the store can be asked. The exit code of --follow is 0 if all
machines became good, and 1 if one is bad or the roll-out was stopped.`,
		Example: "  cloudlets rollouts\n  cloudlets rollouts r12\n  cloudlets rollouts r12 --follow\n  cloudlets rollouts r12 --stop",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			if len(args) == 1 {
				return f.one(cmd, c, args[0])
			}
			if f.stop || f.resume || f.follow {
				return exit.With(errors.New("--stop, --resume and --follow take the name of a roll-out; `cloudlets rollouts` lists them"), exit.Usage)
			}
			list, err := c.Rollouts(cmd.Context())
			return printing.Answer(cmd, f.asJSON, list, err, printRollouts)
		}),
		ValidArgsFunction: completeRollouts(socket),
	}
	cmd.Flags().BoolVar(&f.stop, "stop", false, "arm no further machine")
	cmd.Flags().BoolVar(&f.resume, "resume", false, "go on with a roll-out that was stopped")
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "tell what happens until the roll-out ends or is stopped")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("stop", "resume")
	cmd.MarkFlagsMutuallyExclusive("stop", "follow")
	cmd.MarkFlagsMutuallyExclusive("json", "follow")
	return cmd
}

type rolloutFlags struct{ stop, resume, follow, asJSON bool }

// one shows or changes one roll-out.
func (f *rolloutFlags) one(cmd *cobra.Command, c *api.Client, name string) error {
	var r api.Rollout
	var err error
	switch {
	case f.stop:
		r, err = c.StopRollout(cmd.Context(), name, ask.Caller())
	case f.resume:
		r, err = c.ResumeRollout(cmd.Context(), name, ask.Caller())
	case !f.follow:
		r, err = c.Rollout(cmd.Context(), name)
	}
	if f.follow && err == nil {
		return followRollout(cmd.Context(), printing.Text(cmd), c.Rollout, name)
	}
	return printing.Answer(cmd, f.asJSON, r, err, printRollout)
}

func printRollouts(w io.Writer, list []api.Rollout) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no roll-outs: `cloudlets install --outdated --at-a-time 3` begins one")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tPHASE\tMACHINES\tWAITING\tUNDER WAY\tGOOD\tBAD\tAT A TIME\tBY\tBEGAN")
	for _, r := range list {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Name, r.Phase, r.All, r.Waiting, r.Armed, r.Good, r.Bad, r.AtATime, r.By, printing.Clock(r.Time))
	}
	table.Flush()
	for _, r := range list {
		if r.Phase == rollout.Stopped {
			fmt.Fprintf(w, "\n%s is stopped: %s\n", r.Name, r.Why)
		}
	}
}

func printRollout(w io.Writer, r api.Rollout) {
	fmt.Fprintf(w, "%s is %s", r.Name, r.Phase)
	if r.Phase == rollout.Stopped {
		fmt.Fprintf(w, ": %s", r.Why)
	}
	within := ""
	if r.BootWithin != "" {
		within = "; bad is, too, what does not boot from the network within " + r.BootWithin
	}
	fmt.Fprintf(w, "\nbegun by %s at %s; %d at a time, stops after %d bad%s\n%s\n\n", r.By, printing.Clock(r.Time), r.AtATime, r.StopAfter, within, countsText(r))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WAVE\tMACHINE\tMAC\tPHASE\tWHY")
	for _, m := range r.Machines {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", m.Wave, printing.Dash(m.Hostname), m.MAC, phaseText(m), printing.Dash(m.Why))
	}
	table.Flush()
}

func countsText(r api.Rollout) string {
	return fmt.Sprintf("of %d machines %d are good, %d bad, %d under way, and %d wait", r.All, r.Good, r.Bad, r.Armed, r.Waiting)
}

// phaseText is a machine's phase, with the stage of an install.
func phaseText(m api.RolloutMachine) string {
	text := string(m.Phase)
	if m.Phase == api.Installing {
		text += ": " + stageText(&api.Machine{Stage: m.Stage, Progress: m.Progress})
	}
	return text
}

// followRollout tells of each machine of a roll-out what is new, until the roll-out ends or is
// stopped and nothing more is under way. The error says that not all machines are good.
func followRollout(ctx context.Context, w io.Writer, ask func(context.Context, string) (api.Rollout, error), name string) error {
	told := make(map[provision.MAC]string)
	again := time.NewTicker(waitEvery)
	defer again.Stop()
	for unanswered := 0; ; {
		r, err := ask(ctx, name)
		switch {
		case err == nil:
			unanswered = 0
			tellRollout(w, r, told)
			if r.Phase == rollout.Ended || r.Phase == rollout.Stopped && r.Armed == 0 {
				return endOfRollout(w, r)
			}
		case ctx.Err() == nil:
			if unanswered++; !errors.Is(err, api.ErrNoDaemon) || unanswered > waitErrors {
				return err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			code := exit.Interrupted
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				code = exit.Failed
			}
			return exit.With(fmt.Errorf("the roll-out %s goes on, and is not followed any more: `cloudlets rollouts %s --follow` goes on with that, and --stop stops it", name, name), code)
		}
	}
}

// tellRollout tells what is new of a roll-out's machines.
func tellRollout(w io.Writer, r api.Rollout, told map[provision.MAC]string) {
	for _, m := range r.Machines {
		text := string(m.Phase)
		switch m.Phase {
		case rollout.Waiting:
			continue
		case api.Installing:
			text = string(m.Stage)
		case rollout.Bad:
			text += ": " + m.Why
		}
		if told[m.MAC] != text {
			fmt.Fprintf(w, "wave %d of %d: %s: %s\n", m.Wave, r.Waves, cmp.Or(m.Hostname, string(m.MAC)), text)
		}
		told[m.MAC] = text
	}
}

func endOfRollout(w io.Writer, r api.Rollout) error {
	switch {
	case r.Phase == rollout.Stopped:
		return fmt.Errorf("the roll-out %s is stopped: %s; %s; `cloudlets rollouts %s --resume` goes on", r.Name, r.Why, countsText(r), r.Name)
	case r.Bad > 0:
		return fmt.Errorf("the roll-out %s has ended, and not all is well: %s", r.Name, countsText(r))
	}
	fmt.Fprintf(w, "%s has ended: all %d machines are good\n", r.Name, r.All)
	return nil
}

// completeRollouts completes the name of a roll-out.
func completeRollouts(socket *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ask.Words(cmd, *socket, func(ctx context.Context, c *api.Client) (names []cobra.Completion, err error) {
			list, err := c.Rollouts(ctx)
			for _, r := range list {
				names = append(names, cobra.CompletionWithDesc(r.Name, fmt.Sprintf("%s, %d machines", r.Phase, r.All)))
			}
			return names, err
		}, func(*site.Site) []cobra.Completion { return nil }), cobra.ShellCompDirectiveNoFileComp
	}
}
