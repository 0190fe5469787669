package media

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
)

// updateFlags say what the running system is updated to.
type updateFlags struct {
	disk     diskFlags
	registry imageflags.Registry
	rollback bool
	restart  bool
}

func updateCommand() *cobra.Command {
	var f updateFlags
	return f.command()
}

func (f *updateFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: "update IMAGE | --rollback", Short: "Update the running system: write the other slot of its own disk",
		Long: `Update writes an image into the other slot of the disk that the running system is on,
which must have two (cloudlets disk --slots 2). The system goes on to run meanwhile. The next start tries the new one, and goes back by
itself if it does not prove itself. Persistent data stay. This needs root, and no server.

The --config, --cmdline and --entry that the running system was made with count again,
each unless you give another one. An image that is configured already keeps its own
configuration. Templates see the running system's hostname as env.hostname unless you give
--env hostname=NAME. IMAGE may be REGISTRY/NAME:TAG, too.

A system that a server installed is refused, since only the server knows its network and the
rest of its own files: use cloudlets install NAME there.

With --rollback no system is written: the next start tries the one that is in the other
slot.`,
		Example: "  sudo cloudlets update /media/stick/web-v2.tar\n  sudo cloudlets update registry.example.com/web:v2 --restart\n  sudo cloudlets update --rollback --restart",
		RunE:    f.runUpdate,
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
	cmd.Flags().BoolVar(&f.restart, "restart", false, "restart the machine when it is done")
	cmd.Flags().BoolVar(&f.rollback, "rollback", false, "write no system, and have the next start try the system in the other slot")
	cmd.MarkFlagsMutuallyExclusive("restart", "dry-run")
	for _, name := range []string{"config", "env", "entry", "cmdline", "no-verify", "without-server"} { // they say what is written
		cmd.MarkFlagsMutuallyExclusive("rollback", name)
	}
	return cmd
}
