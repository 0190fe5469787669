package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// maxOrders is how many machines the command line orders at once. The server spaces
// what it switches on.
const maxOrders = 32

// powerLine is one line of what the verb power prints.
type powerLine struct {
	Machine string        `json:"machine"` // as it was named
	MAC     provision.MAC `json:"mac,omitempty"`
	State   power.State   `json:"state,omitempty"`
	Text    string        `json:"text,omitempty"`
	Error   string        `json:"error,omitempty"`
}

func powerCommand(socket *string) *cobra.Command {
	var force, dryRun, asJSON bool
	var boot string
	cmd := &cobra.Command{
		Use: "power [on|off|cycle|reset|state] MAC|HOSTNAME...", Short: "Switch machines on and off, or say whether they are on",
		Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Power switches machines by what their files name as "power": Redfish, IPMI,
Wake-on-LAN or a command of your own. Without an action it says whether each
machine has power.

  on      switch on; machines start one after the other ("stagger")
  off     have the system shut down, and wait for that; with --force at once
  cycle   take the power away and give it back, at once
  reset   restart, at once
  state   say whether the machine has power

The exit code is 0 only if all of it was done. The order stands if this command is
interrupted; cloudlets trace says what became of it.`,
		Example: "  cloudlets power node1 node2\n  cloudlets power on 'node[1-20]'\n  cloudlets power cycle --boot network node1",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			order, names, err := parsePower(args, boot, force)
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			lines := eachMachine(names, func(name string) powerLine { return powerOne(cmd.Context(), c, name, order, dryRun) })
			return tellPower(cmd, asJSON, lines)
		}),
		ValidArgsFunction: completePower(socket),
	}
	cmd.Flags().StringVar(&boot, "boot", "", "what the machine boots next, and only then: network")
	cmd.Flags().BoolVar(&force, "force", false, "off: at once, whatever runs there")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// parsePower reads the arguments of the verb power. Without an action the order is the
// zero value, which asks for the state.
func parsePower(args []string, boot string, force bool) (order desk.Order, names []string, err error) {
	names = args
	if slices.Contains(power.Actions(), power.Action(args[0])) {
		order.Action, names = power.Action(args[0]), args[1:]
	} else if args[0] == "state" {
		names = args[1:]
	}
	if boot != "" && boot != "network" {
		return order, nil, fmt.Errorf("--boot %s is not known: want --boot network", boot)
	}
	order.Network, order.Force, order.By = boot != "", force, ask.Caller()
	switch {
	case len(names) == 0:
		return order, nil, errors.New("no machine is named: want MAC addresses or hostnames; `cloudlets machines` lists them")
	case order.Action == "" && (order.Network || order.Force):
		return order, nil, errors.New("--boot and --force go with an action: want on, off, cycle or reset before the machines")
	case order.Action != "":
		err = order.Check()
	}
	if err == nil {
		names, err = roster.ExpandNames(names)
	}
	return order, names, err
}

// eachMachine does something for each machine, several at once, and returns the lines
// in the order of the names.
func eachMachine(names []string, do func(name string) powerLine) []powerLine {
	lines := make([]powerLine, len(names))
	var group errgroup.Group
	group.SetLimit(maxOrders)
	for i, name := range names {
		group.Go(func() error {
			lines[i] = do(name)
			return nil
		})
	}
	_ = group.Wait() // errors are in the lines
	return lines
}

func powerOne(ctx context.Context, c *api.Client, name string, order desk.Order, dryRun bool) powerLine {
	line := powerLine{Machine: name}
	if order.Action == "" {
		state, err := c.PowerState(ctx, name)
		line.MAC, line.State, line.Text = state.MAC, state.State, string("is "+state.State)
		return line.failed(err)
	}
	if dryRun {
		m, err := c.Machine(ctx, name)
		line.MAC = m.MAC
		if err == nil && (m.Spec == nil || m.Spec.Power.Kind() == "") {
			err = errors.New("it cannot be switched: its file has no \"power\"")
		}
		if err == nil {
			line.Text = fmt.Sprintf("would get %s by %s", order, m.Spec.Power.Kind())
		}
		return line.failed(err)
	}
	job, err := c.Switch(ctx, name, order)
	line.MAC, line.Text = job.MAC, job.Text
	if err == nil && job.Error != "" {
		err = errors.New(job.Error)
	}
	return line.failed(err)
}

func (l powerLine) failed(err error) powerLine {
	if err != nil {
		l.Text, l.State, l.Error = "", "", err.Error()
	}
	return l
}

// tellPower prints the lines. It returns an error if one of them has one.
func tellPower(cmd *cobra.Command, asJSON bool, lines []powerLine) error {
	err := printing.Answer(cmd, asJSON, lines, nil, func(w io.Writer, lines []powerLine) {
		for _, l := range lines {
			if l.Error != "" {
				fmt.Fprintf(w, "%s failed: %s\n", l.Machine, l.Error)
			} else {
				fmt.Fprintf(w, "%s %s\n", l.Machine, l.Text)
			}
		}
	})
	bad := 0
	for _, l := range lines {
		if l.Error != "" {
			bad++
		}
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %d machines failed", bad, len(lines))
	}
	return err
}

// wantPower refuses a machine that cannot be switched, before it is armed.
func wantPower(ctx context.Context, c *api.Client, name string) error {
	m, err := c.Machine(ctx, name)
	if err == nil && (m.Spec == nil || m.Spec.Power.Kind() == "") {
		err = fmt.Errorf("%s cannot be switched, and was not armed: its file has no \"power\"; leave out --power, and switch it on by hand", m.MAC)
	}
	return err
}

// bootInstaller has a machine that was armed boot from the network now.
func bootInstaller(ctx context.Context, c *api.Client, m api.Detail) error {
	var by *provision.Power
	if m.Spec != nil {
		by = m.Spec.Power
	}
	job, err := c.Switch(ctx, string(m.MAC), desk.ForInstall(by, ask.Caller()))
	if err == nil && job.Error != "" {
		err = errors.New(job.Error)
	}
	if err != nil {
		return fmt.Errorf("%s is armed, and was not switched on: %w; switch it on by hand, or disarm it with `cloudlets install %s --cancel`", m.MAC, err, m.MAC)
	}
	return nil
}

// completePower completes an action, and machines.
func completePower(socket *string) cobra.CompletionFunc {
	machines := ask.CompleteMachines(socket, -1)
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, directive := machines(cmd, args, begun)
		if len(args) > 0 {
			return names, directive
		}
		return append([]cobra.Completion{"on", "off", "cycle", "reset", "state"}, names...), directive
	}
}
