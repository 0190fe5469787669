package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/provision"
	"cloudlets/web"
)

func installCommand(socket *string) *cobra.Command {
	var cancel, dryRun, wipe, switchOn, asJSON bool
	cmd := &cobra.Command{
		Use: "install MAC|HOSTNAME", Short: "Arm a machine's install: its next network boot writes its disk", Args: exactArgs(1),
		Long: `Install arms one install: the machine's next boot from the network writes its
image to its disk, and then the machine is disarmed. A disk that is not empty is
refused, unless --wipe says that all of it may be lost, this once.

With --power the machine starts at once, from the network, by what its file names as
"power" (see cloudlets power). One that is on is switched off and on again, whatever
runs there.`,
		Example: "  cloudlets install node1\n  cloudlets install node1 --power\n  cloudlets install node1 --wipe\n  cloudlets install 52:54:00:12:34:56 --cancel",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) error {
			if switchOn {
				if err := wantPower(cmd.Context(), c, args[0]); err != nil {
					return err
				}
			}
			m, err := armOrCancel(cmd, c, args[0], cancel, dryRun, wipe)
			if err == nil && switchOn && !dryRun {
				err = bootInstaller(cmd.Context(), c, m)
			}
			return show(cmd, asJSON, m, err, func(w io.Writer, m web.Detail) { printOrder(w, m, cancel, dryRun, wipe, switchOn) })
		}),
		ValidArgsFunction: completeMachines(socket, 1),
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "disarm the machine, and stop an install that is running")
	cmd.Flags().BoolVar(&wipe, "wipe", false, "let this install overwrite a disk that is not empty: all that is on it is lost")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&switchOn, "power", false, "have the machine boot from the network now: it is switched on, or off and on again")
	cmd.MarkFlagsMutuallyExclusive("cancel", "wipe")
	cmd.MarkFlagsMutuallyExclusive("cancel", "power")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func armOrCancel(cmd *cobra.Command, c *web.Client, name string, cancel, dryRun, wipe bool) (web.Detail, error) {
	switch {
	case dryRun:
		return c.Machine(cmd.Context(), name)
	case cancel:
		return c.Cancel(cmd.Context(), name, caller())
	default:
		return c.Install(cmd.Context(), name, web.Order{By: caller(), Wipe: wipe})
	}
}

func printOrder(w io.Writer, m web.Detail, cancel, dryRun, wipe, switchedOn bool) {
	switch {
	case dryRun && cancel && m.Next.Action == provision.ActionInstall:
		fmt.Fprintf(w, "%s would be disarmed: %s\n", m.MAC, m.Next.Reason)
	case dryRun && cancel && m.Installing:
		fmt.Fprintf(w, "the install of %s would be stopped in the stage %q; its disk would not be bootable then\n", m.MAC, m.Stage)
	case dryRun && cancel:
		fmt.Fprintf(w, "there is no install of %s to cancel: %s\n", m.MAC, m.Next.Reason)
	case dryRun && m.NeedsWipe != "" && !wipe:
		fmt.Fprintln(w, m.NeedsWipe)
	case dryRun && m.Spec == nil:
		fmt.Fprintf(w, "%s would not be installed: no file of the site describes it\n", m.MAC)
	case dryRun:
		fmt.Fprintf(w, "%s would be installed with %s on %s, then %s\n", m.MAC, m.Spec.Image, describeHints(m.Spec, wipe), m.Spec.Handover)
		printMachineProblems(w, m.Machine)
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
func describeHints(spec *web.Spec, wipe bool) string {
	text := "its only disk that is not removable"
	if h := spec.Disk; h != nil {
		hints, _ := json.Marshal(h)
		text = "the disk with " + strings.Trim(string(hints), "{}")
	}
	if wipe {
		return text + ", whatever is on it"
	}
	return text + ", if that is empty"
}
