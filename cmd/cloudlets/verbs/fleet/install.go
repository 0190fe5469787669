package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func installCommand(socket *string) *cobra.Command {
	var o orderFlags
	var waves waveFlags
	cmd := &cobra.Command{
		Use: "install MAC|HOSTNAME...", Short: "Arm a machine's install: its next network boot writes its disk", Args: exit.Args(waves.args),
		Long: `Install arms one install: the machine's next boot from the network writes its
image to its disk, and then the machine is disarmed. A disk that is not empty is
refused, unless --wipe says that all of it may be lost, this once. Names may be
ranges, such as node[1-20].

With --confirm, or with "confirm": true in the machine's file, the installer on the
machine tells what it will do and waits for cloudlets confirm before it writes.

With --power the machine starts at once, from the network, by what its file names as
"power" (see cloudlets power). One that is on is switched off and on again, whatever
runs there.

With --wait it waits until every machine's new system says that it runs, or is
installed, if its image cannot say so. Attempts that the machine repeats by
itself are waited for. The exit code is 0 if all went well, and 1 if a machine
failed, fell back, became quiet or was called off, or at the end of --timeout.

With --at-a-time the machines are installed in waves of so many: a roll-out. The next
wave is armed when each machine of the one before is good, by the rule of --wait; once
--stop-after machines are bad, no further one is armed. --outdated, --profile, --image
and --tag select machines, as cloudlets machines does. The server carries it on, over
restarts too. The verb prints its name and follows it until it ends: an interrupt only
ends the following, --detach does not begin it. See cloudlets rollouts.`,
		Example: "  cloudlets install node1\n  cloudlets install node1 --power\n  cloudlets install node1 --wipe\n  cloudlets install node1 --confirm\n  cloudlets install 'node[1-20]' --wait --timeout 1h\n  cloudlets install 52:54:00:12:34:56 --cancel\n  cloudlets install --outdated --profile web --at-a-time 3 --power",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			names, err := roster.ExpandNames(args)
			if err == nil {
				err = waves.check(cmd, o)
			}
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			if waves.atATime > 0 {
				return waves.run(cmd, c, o, args, names)
			}
			return o.run(cmd, c, names)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	o.flags(cmd)
	waves.flags(cmd)
	ask.CompleteFlags(cmd, socket)
	return cmd
}

// orderFlags are what a person orders of machines.
type orderFlags struct {
	cancel, dryRun, wipe, confirm, power, wait, asJSON bool
	timeout                                            time.Duration
	// rollback says that no install is ordered, but to go back to the other slot.
	rollback bool
}

func (o *orderFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.cancel, "cancel", false, "disarm the machine, and stop an install that is running")
	cmd.Flags().BoolVar(&o.wipe, "wipe", false, "let this install overwrite a disk that is not empty: all that is on it is lost")
	cmd.Flags().BoolVar(&o.confirm, "confirm", false, "have this install wait before it writes, until you have seen its plan and said so with cloudlets confirm")
	o.commonFlags(cmd)
	cmd.MarkFlagsMutuallyExclusive("cancel", "wipe")
	cmd.MarkFlagsMutuallyExclusive("cancel", "confirm")
	cmd.MarkFlagsMutuallyExclusive("cancel", "power")
	cmd.MarkFlagsMutuallyExclusive("cancel", "wait")
}

// commonFlags are those of a roll-back, too.
func (o *orderFlags) commonFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.power, "power", false, "have the machine boot from the network now: it is switched on, or off and on again")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until the installs have ended")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "with --wait, or while a roll-out is followed: wait no longer than this, such as 45m; 0 is no bound")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON: an object for one machine, a list for several")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "wait")
	cmd.MarkFlagsMutuallyExclusive("json", "wait")
}

// run gives the order to each machine. One that refuses it does not keep it from the
// others.
func (o *orderFlags) run(cmd *cobra.Command, c *api.Client, names []string) error {
	var failures []error
	var list []api.Detail
	var machines []*waited
	for _, name := range names {
		m, err := o.give(cmd, c, name)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		list = append(list, m)
		machines = append(machines, &waited{name: name, since: m.ArmedAt})
		if !o.asJSON {
			o.print(printing.Text(cmd), m)
		}
	}
	switch {
	case o.asJSON && len(names) == 1 && len(list) == 1:
		return printing.JSON(cmd.OutOrStdout(), list[0])
	case o.asJSON && len(names) > 1:
		failures = append(failures, printing.JSON(cmd.OutOrStdout(), list))
	case o.wait && len(machines) > 0:
		ctx := cmd.Context()
		if o.timeout > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, o.timeout)
			defer stop()
		}
		failures = append(failures, waitFor(ctx, printing.Text(cmd), c.Machine, machines))
	}
	return errors.Join(failures...)
}

// give gives the order to one machine.
func (o *orderFlags) give(cmd *cobra.Command, c *api.Client, name string) (api.Detail, error) {
	if o.power {
		if err := wantPower(cmd.Context(), c, name); err != nil {
			return api.Detail{}, err
		}
	}
	switch {
	case o.dryRun:
		return c.Machine(cmd.Context(), name)
	case o.cancel:
		return c.Cancel(cmd.Context(), name, ask.Caller())
	}
	m, err := c.Install(cmd.Context(), name, api.Order{By: ask.Caller(), Wipe: o.wipe, Rollback: o.rollback, Confirm: o.confirm})
	if err == nil && o.power {
		err = bootInstaller(cmd.Context(), c, m)
	}
	return m, err
}

// print says what was ordered of a machine.
func (o *orderFlags) print(w io.Writer, m api.Detail) {
	if o.rollback {
		printRollback(w, m, o.dryRun)
		return
	}
	printOrder(w, m, o.cancel, o.dryRun, o.wipe, o.power)
}

func printRollback(w io.Writer, m api.Detail, dryRun bool) {
	switch {
	case m.Kept == nil:
		fmt.Fprintf(w, "%s would not go back: no update was written beside the system that it has\n", m.MAC)
	case dryRun:
		fmt.Fprintf(w, "%s would go back to %s in slot %s\n", m.MAC, m.Kept.Image, strings.ToUpper(m.Kept.Slot))
	default:
		fmt.Fprintf(w, "%s is armed: its next network boot goes back to %s in slot %s\n", m.MAC, m.Kept.Image, strings.ToUpper(m.Kept.Slot))
	}
}

func printOrder(w io.Writer, m api.Detail, cancel, dryRun, wipe, switchedOn bool) {
	switch {
	case dryRun && cancel && m.Next.Action == provision.ActionInstall:
		fmt.Fprintf(w, "%s would be disarmed: %s\n", m.MAC, m.Next.Reason)
	case dryRun && cancel && m.Installing:
		fmt.Fprintf(w, "the install of %s would be stopped in the stage %q; its disk would not be bootable then, unless the install is an update beside another system\n", m.MAC, m.Stage)
	case dryRun && cancel:
		fmt.Fprintf(w, "there is no install of %s to cancel: %s\n", m.MAC, m.Next.Reason)
	case dryRun && m.NeedsWipe != "" && !wipe:
		fmt.Fprintln(w, m.NeedsWipe)
	case dryRun && m.Spec == nil:
		fmt.Fprintf(w, "%s would not be installed: no file of the site describes it\n", m.MAC)
	case dryRun:
		fmt.Fprintf(w, "%s would be installed with %s on %s, then %s\n", m.MAC, m.Spec.Image, describeHints(m.Spec, wipe), m.Spec.Handover)
		printMachineProblems(w, &m.Machine)
	case cancel:
		fmt.Fprintf(w, "%s is disarmed: %s\n", m.MAC, m.Next.Reason)
		if m.Warning != "" {
			fmt.Fprintf(w, "warning: %s\n", m.Warning)
		}
	default:
		fmt.Fprintf(w, "%s is armed: its next network boot installs %s on %s\n", m.MAC, m.Spec.Image, describeHints(m.Spec, wipe))
		if switchedOn && m.Spec.Power.WakeOnLAN {
			fmt.Fprintf(w, "it was woken, and boots as its firmware's boot order says; watch it with: cloudlets trace %s --follow\n", m.MAC)
			return
		}
		if switchedOn {
			fmt.Fprintf(w, "it boots from the network now; watch it with: cloudlets trace %s --follow\n", m.MAC)
			return
		}
		fmt.Fprintf(w, "switch it on, and watch it with: cloudlets trace %s --follow\n", m.MAC)
	}
}

// describeHints says which disk is chosen, and whether what is on it is lost.
func describeHints(spec *api.Spec, wipe bool) string {
	text, one := "its only disk that is not removable", "the disk with "
	if spec.Mirror {
		text, one = "its two disks that are not removable, as a mirror", "the two disks, as a mirror, with "
	}
	if h := spec.Disk; h != nil {
		hints, _ := json.Marshal(h)
		text = one + strings.Trim(string(hints), "{}")
	}
	if wipe {
		return text + ", whatever is on it"
	}
	if spec.Slots == 2 || spec.Persistent > 0 {
		return text + ", if that is empty or has an earlier install, of which it keeps what is persistent"
	}
	return text + ", if that is empty"
}
