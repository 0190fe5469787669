package fleet

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func bootCommand(socket *string) *cobra.Command {
	var o bootFlags
	cmd := &cobra.Command{
		Use: "boot MAC|HOSTNAME... --once kernel IMAGE|live [IMAGE]|rescue [IMAGE]|local", Short: "Order what machines boot next from the network, once", Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Boot orders what a machine's next boot from the network is, and only that one.
Nothing is installed by it.

  --once kernel IMAGE   the kernel and the initrd of a cloudlet as they are: a memory
                        test, another system's installer, another iPXE
  --once live [IMAGE]   the system of the machine's image, or of another one, in memory,
                        rendered for the machine. It starts before all of it was
                        fetched. If the file of the machine has "persistent", and an
                        install has made room on a disk, its own image keeps its
                        persistent paths there
  --once rescue [IMAGE] the files of the machine's image, or of another one, in memory,
                        with a root shell on the machine's consoles, and by SSH for the
                        keys that "rescue" in cloudlets.json or the machine's file names.
                        The disks are left alone; with --mount their filesystems are
                        below /mnt, to be read. Of several names the last one is the
                        image; a range such as 'node[1-20]' is one name
  --once local          the machine's own disk

What a machine boots each time is said by "boot" in its file. While an install is armed,
nothing else can be ordered, and the other way round. The first install of a file that
says "install": "once" waits until the order was carried out.

A program of another maker, such as a system's installer, may write the disk by itself:
ask its documentation.`,
		Example: "  cloudlets boot node1 --once kernel memtest\n  cloudlets boot 'node[1-20]' --once local\n  cloudlets boot node1 --once live\n  cloudlets boot node1 --once rescue --mount\n  cloudlets boot node1 debian-12 --once rescue\n  cloudlets boot node1 --once kernel memtest --entrypoint uefi\n  cloudlets boot node1 --cancel",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			order, names, err := o.parse(args)
			if err == nil {
				names, err = roster.ExpandNames(names)
			}
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			return o.run(cmd, c, order, names)
		}),
		ValidArgsFunction: o.complete(socket),
	}
	cmd.Flags().StringVar(&o.once, "once", "", "what the next boot is: kernel, live or rescue, with the name of an image after it, or local")
	cmd.Flags().StringVar(&o.entryPoint, "entrypoint", "", "with kernel, live and rescue: the image's kernel entry point; its default if this is not given")
	cmd.Flags().BoolVar(&o.mount, "mount", false, "with rescue: mount the filesystems of the machine's disks below /mnt, to be read")
	cmd.Flags().BoolVar(&o.cancel, "cancel", false, "take the order back")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON: an object for one machine, a list for several")
	var kinds []cobra.Completion
	for _, kind := range provision.BootKinds() {
		kinds = append(kinds, string(kind))
	}
	_ = cmd.RegisterFlagCompletionFunc("once", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsOneRequired("once", "cancel")
	cmd.MarkFlagsMutuallyExclusive("once", "cancel")
	return cmd
}

type bootFlags struct {
	once, entryPoint       string
	cancel, dryRun, asJSON bool
	mount                  bool
}

// parse reads the order, and the names of the machines: the last argument is the image of
// a kernel, and of what is started in memory if there are several.
func (o *bootFlags) parse(args []string) (b provision.Boot, names []string, err error) {
	b = provision.Boot{Kind: provision.BootKind(o.once), EntryPoint: o.entryPoint, Mount: o.mount}
	kinds := provision.BootKinds()
	switch {
	case o.cancel:
		return b, args, nil
	case !slices.Contains(kinds, b.Kind):
		return b, nil, fmt.Errorf("--once %s is not known: want kernel, live, rescue or local", o.once)
	case b.Kind == provision.BootLocal && o.entryPoint != "":
		return b, nil, errors.New("--entrypoint goes with --once kernel, live and rescue: it names an entry point of their image")
	case b.Kind != provision.BootRescue && o.mount:
		return b, nil, errors.New("--mount goes with --once rescue")
	case b.Kind == provision.BootLocal || b.InMemory() && len(args) == 1:
		return b, args, nil
	case len(args) < 2:
		return b, nil, errors.New("want machines and an image, such as: cloudlets boot node1 --once kernel memtest")
	}
	last := len(args) - 1
	b.Image = args[last]
	return b, args[:last], nil
}

// complete completes machines, and where an image can be the last name, images too.
func (o *bootFlags) complete(socket *string) cobra.CompletionFunc {
	machines, images := ask.CompleteMachines(socket, -1), ask.CompleteNames(socket, ask.ImageNames)
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, directive := machines(cmd, args, begun)
		kind := provision.BootKind(o.once)
		if len(args) > 0 && !o.cancel && (kind == provision.BootKernel || (provision.Boot{Kind: kind}).InMemory()) {
			more, _ := images(cmd, args, begun)
			names = append(names, more...)
		}
		return names, directive
	}
}

// run gives the order to each machine. One that refuses it does not keep it from the
// others.
func (o *bootFlags) run(cmd *cobra.Command, c *api.Client, order provision.Boot, names []string) error {
	var failures []error
	list := []api.Detail{}
	for _, name := range names {
		m, err := o.give(cmd, c, order, name)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		list = append(list, m)
		if !o.asJSON {
			o.print(printing.Text(cmd), m, order)
		}
	}
	switch {
	case o.asJSON && len(names) == 1 && len(list) == 1:
		return printing.JSON(cmd.OutOrStdout(), list[0])
	case o.asJSON && len(names) > 1:
		failures = append(failures, printing.JSON(cmd.OutOrStdout(), list))
	}
	return errors.Join(failures...)
}

func (o *bootFlags) give(cmd *cobra.Command, c *api.Client, order provision.Boot, name string) (api.Detail, error) {
	switch {
	case o.dryRun:
		return c.Machine(cmd.Context(), name)
	case o.cancel:
		return c.CancelBoot(cmd.Context(), name, ask.Caller())
	}
	return c.Boot(cmd.Context(), name, api.BootOrder{By: ask.Caller(), Boot: order})
}

func (o *bootFlags) print(w io.Writer, m api.Detail, order provision.Boot) {
	switch {
	case o.dryRun && o.cancel && m.Once == nil:
		fmt.Fprintf(w, "no boot of %s is ordered\n", m.MAC)
	case o.dryRun && o.cancel:
		fmt.Fprintf(w, "the order to boot %s would be taken back from %s\n", m.Once.Boot, m.MAC)
	case o.dryRun && m.Spec == nil:
		fmt.Fprintf(w, "%s would not be ordered: no file of the site describes it\n", m.MAC)
	case o.dryRun && m.Armed:
		fmt.Fprintf(w, "%s would not be ordered: an install is armed, which would go first\n", m.MAC)
	case o.dryRun:
		fmt.Fprintf(w, "the next network boot of %s would be: %s\n", m.MAC, order)
	case o.cancel:
		fmt.Fprintf(w, "the order for %s is taken back; its next boot is: %s: %s\n", m.MAC, m.Next.Action, m.Next.Reason)
	default:
		fmt.Fprintf(w, "the next network boot of %s is: %s, once\n", m.MAC, order)
		if m.Spec != nil && m.Spec.Power.Kind() != "" {
			fmt.Fprintf(w, "start it with: cloudlets power cycle --boot network %s\n", m.MAC)
			return
		}
		fmt.Fprintf(w, "switch it on, and watch it with: cloudlets trace %s --follow\n", m.MAC)
	}
}
