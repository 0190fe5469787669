package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// waveFlags are those of a roll-out.
type waveFlags struct {
	atATime, stopAfter int
	bootWithin         time.Duration
	detach             bool
	filter             machineFilter
}

func (f *waveFlags) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.atATime, "at-a-time", 0, fmt.Sprintf("install in waves of at most so `many` machines, up to %d", rollout.MaxAtATime))
	cmd.Flags().IntVar(&f.stopAfter, "stop-after", 1, "with --at-a-time: arm no further machine once so `many` are bad")
	cmd.Flags().DurationVar(&f.bootWithin, "boot-within", 0, "with --at-a-time: a machine that has not booted from the network so `long` after it was armed, or switched on, is bad; 0 is any time (default "+rollout.Span(bootWithin)+" with --power)")
	cmd.Flags().BoolVar(&f.detach, "detach", false, "with --at-a-time: do not follow the roll-out")
	cmd.Flags().BoolVar(&f.filter.outdated, "outdated", false, "with --at-a-time: only machines that have another system than they shall have")
	cmd.Flags().StringVar(&f.filter.image, "image", "", "with --at-a-time: only machines whose file names this image, or that have it")
	cmd.Flags().StringVar(&f.filter.profile, "profile", "", "with --at-a-time: only machines whose file extends this profile, itself or by another one")
	cmd.Flags().StringVar(&f.filter.tag, "tag", "", "with --at-a-time: only machines that have this tag")
	cmd.MarkFlagsMutuallyExclusive("at-a-time", "cancel")
	cmd.MarkFlagsMutuallyExclusive("at-a-time", "wait") // which is what following does
}

// bootWithin is how long machines that the server switches may take until they have booted.
const bootWithin = 30 * time.Minute

// args are the machines, or none if flags select them.
func (f *waveFlags) args(cmd *cobra.Command, args []string) error {
	if f.filter != (machineFilter{}) {
		return nil
	}
	return cobra.MinimumNArgs(1)(cmd, args)
}

// check refuses flags that mean nothing together.
func (f *waveFlags) check(cmd *cobra.Command, o orderFlags) error {
	if f.atATime > 0 {
		if o.asJSON && !f.detach && !o.dryRun {
			return errors.New("--json goes with --detach or --dry-run here: the following prints lines; `cloudlets rollouts NAME --json` shows the roll-out at any time")
		}
		return nil
	}
	for _, name := range []string{"at-a-time", "stop-after", "boot-within", "detach", "outdated", "image", "profile", "tag"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s goes with --at-a-time N, which says how many machines are installed at once: want 1 to %d", name, rollout.MaxAtATime)
		}
	}
	return nil
}

// run begins a roll-out, and follows it.
func (f *waveFlags) run(cmd *cobra.Command, c *api.Client, o orderFlags, args, names []string) error {
	machines, err := f.machines(cmd.Context(), c, args, names)
	if err != nil {
		return err
	}
	order := api.RolloutOrder{By: ask.Caller(), AtATime: f.atATime, StopAfter: f.stopAfter, Wipe: o.wipe, Confirm: o.confirm, Power: o.power}
	if !cmd.Flags().Changed("boot-within") && o.power {
		f.bootWithin = bootWithin
	}
	if f.bootWithin != 0 {
		order.BootWithin = f.bootWithin.String()
	}
	for _, m := range machines {
		order.Machines = append(order.Machines, string(m.MAC))
	}
	if o.dryRun {
		return f.dryRun(cmd, o, machines)
	}
	r, err := c.BeginRollout(cmd.Context(), order)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printing.JSON(cmd.OutOrStdout(), r)
	}
	fmt.Fprintf(printing.Text(cmd), "%s: %d machines in %d waves; `cloudlets rollouts %s` shows it, and --stop stops it\n", r.Name, r.All, r.Waves, r.Name)
	if f.detach {
		return nil
	}
	ctx := cmd.Context()
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.timeout)
		defer stop()
	}
	return followRollout(ctx, printing.Text(cmd), c.Rollout, r.Name)
}

// machines are those that arguments and flags select. Named ones are in the order of the
// arguments, and others in that of their names.
func (f *waveFlags) machines(ctx context.Context, c *api.Client, args, names []string) ([]api.Machine, error) {
	query := roster.Query{List: f.filter.list(), Image: f.filter.image, Profile: f.filter.profile, Tag: f.filter.tag}
	if len(args) > 0 {
		query.Names = args
	}
	found, err := c.Machines(ctx, query, "described", "problems", "outdated", "live")
	if err != nil {
		return nil, err
	}
	if f.filter != (machineFilter{}) {
		return f.filter.toInstall(found)
	}
	called, shared := make(map[string]api.Machine), make(map[string]bool)
	for _, m := range found {
		hostname := strings.ToLower(m.Hostname)
		_, shared[hostname] = called[hostname]
		called[string(m.MAC)], called[hostname] = m, m
	}
	var machines []api.Machine
	for _, name := range names {
		key := strings.ToLower(name)
		if mac, err := provision.ParseMAC(name); err == nil {
			key = string(mac)
		}
		m, known := called[key]
		if !known || shared[key] { // the server knows it by more names, and refuses what means two
			d, err := c.Machine(ctx, name)
			if err != nil {
				return nil, err
			}
			m = d.Machine
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// toInstall are the machines of those that flags select which can be installed. A live
// machine that is outdated is none: it has the new system when it starts again.
func (f machineFilter) toInstall(found []api.Machine) ([]api.Machine, error) {
	live := 0
	found = slices.DeleteFunc(found, func(m api.Machine) bool {
		restarts := f.outdated && m.Live != nil
		if restarts {
			live++
		}
		return !m.Described || restarts
	})
	switch {
	case len(found) > 0:
		return found, nil
	case live > 0:
		return nil, fmt.Errorf("no machine is selected; %d that are outdated have their systems in memory: they are brought up to date when they start again, e.g. by `cloudlets power cycle NAME`", live)
	}
	return nil, errors.New("no machine is selected; `cloudlets machines` with the same flags lists those that are")
}

// plannedWave is a wave that would be.
type plannedWave struct {
	Wave     int           `json:"wave"` // counted from 1
	Machines []api.Machine `json:"machines"`
}

// dryRun says who would be in which wave.
func (f *waveFlags) dryRun(cmd *cobra.Command, o orderFlags, machines []api.Machine) error {
	order := rollout.Order{AtATime: f.atATime, StopAfter: f.stopAfter}
	for _, m := range machines {
		order.Machines = append(order.Machines, m.MAC)
	}
	if err := order.Check(); err != nil {
		return err
	}
	waves := make([]plannedWave, 0, order.Waves())
	for wave := range slices.Chunk(machines, f.atATime) {
		waves = append(waves, plannedWave{len(waves) + 1, wave})
	}
	return printing.Answer(cmd, o.asJSON, waves, nil, func(w io.Writer, waves []plannedWave) {
		for _, wave := range waves {
			fmt.Fprintf(w, "wave %d:", wave.Wave)
			for _, m := range wave.Machines {
				fmt.Fprintf(w, " %s", cmp.Or(m.Hostname, string(m.MAC)))
			}
			fmt.Fprintln(w)
		}
		for _, m := range machines {
			printMachineProblems(w, &m)
		}
	})
}
