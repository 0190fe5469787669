package media

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
)

// updateFlags say what the running system is updated to.
type updateFlags struct {
	disk     diskFlags
	registry imageflags.Registry
	rollback bool
	restart  bool
	// authority and card are how a server is known, and how it knows the machine.
	authority, card string
}

// ofServer are the flags that may be given where a server says what is written.
var ofServer = []string{"authority", "card", "json", "restart", "socket"}

// isServer says whether an argument is the URL of a server, and not an image.
func isServer(arg string) bool {
	return strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://")
}

// checkServer refuses flags that mean nothing for what is updated to.
func (f *updateFlags) checkServer(cmd *cobra.Command, args []string) (err error) {
	server := len(args) == 1 && isServer(args[0])
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch {
		case server && !slices.Contains(ofServer, flag.Name):
			err = fmt.Errorf("--%s is for an image: what the machine gets, its server says; leave it out, or change the machine's file there", flag.Name)
		case !server && (flag.Name == "authority" || flag.Name == "card"):
			err = fmt.Errorf("--%s is for a server, such as http://10.0.0.1: leave it out", flag.Name)
		}
	})
	if err != nil {
		return exit.With(err, exit.Usage)
	}
	return nil
}

func updateCommand() *cobra.Command {
	var f updateFlags
	return f.command()
}

func (f *updateFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "update IMAGE | SERVER | --rollback", Short: "Update the running system: write the other slot of its own disk",
		Long: `Update writes an image into the other slot of the disk that the running system is on,
which must have two (cloudlets disk --slots 2). The system goes on to run meanwhile. The next start tries the new one, and goes back by
itself if it does not prove itself. Persistent data stay. This needs root.

The --config, --cmdline and --entry that the running system was made with count again,
each unless you give another one. An image that is configured already keeps its own
configuration. Templates see the running system's hostname as env.hostname unless you give
--env hostname=NAME. IMAGE may be REGISTRY/NAME:TAG, too.

A system that a server installed is not updated to an IMAGE, since only the server knows its
network and the rest of its own files. Arm it there with cloudlets install NAME, and give
the server's URL as SERVER: then the machine carries that install out while it runs, with the
same plan, trace and report, and restarts. So it is away for one restart, and needs no boot from
the network. A server with HTTPS is known by --authority, the file that cloudlets ca prints.

With --rollback no system is written: the next start tries the one that is in the other
slot.`,
		Example: "  sudo cloudlets update /media/stick/web-v2.tar\n  sudo cloudlets update registry.example.com/web:v2 --restart\n  sudo cloudlets update http://10.0.0.1\n  sudo cloudlets update --rollback --restart",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkServer(cmd, args); err != nil {
				return err
			}
			if len(args) == 1 && isServer(args[0]) {
				return f.updateFrom(cmd, args[0])
			}
			return f.runUpdate(cmd, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if f.rollback || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault // an image is a file or a folder, or in a registry
		},
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.rollback {
			return exit.Args(cobra.NoArgs)(cmd, args)
		}
		return exit.ExactArgs(1)(cmd, args)
	}
	f.disk.addSystem(cmd)
	f.disk.image.Registry = &f.registry
	f.registry.Add(cmd)
	cmd.Flags().BoolVar(&f.disk.device.noVerify, "no-verify", false, "do not read back and compare what was written")
	f.disk.slots.addWithoutServer(cmd)
	cmd.Flags().BoolVar(&f.restart, "restart", false, "restart the machine when it is done; with SERVER it is restarted unless this is false")
	cmd.Flags().StringVar(&f.authority, "authority", "", "with SERVER: the `FILE` with the certificate of the site's authority, in PEM form")
	cmd.Flags().StringVar(&f.card, "card", "", "with SERVER: the `MAC` by which it knows this machine (default: as it was installed)")
	cmd.Flags().BoolVar(&f.rollback, "rollback", false, "write no system, and have the next start try the system in the other slot")
	cmd.MarkFlagsMutuallyExclusive("restart", "dry-run")
	for _, name := range []string{"config", "env", "entry", "cmdline", "no-verify", "without-server"} { // they say what is written
		cmd.MarkFlagsMutuallyExclusive("rollback", name)
	}
	return cmd
}
