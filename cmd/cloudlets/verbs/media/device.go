package media

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
)

// deviceFlags say how a disk is written to a real device.
type deviceFlags struct {
	list     bool
	all      bool
	yes      bool
	serial   string
	noVerify bool
	deviceHost
}

// add adds the flags for devices. With --list the verb takes no image.
func (f *deviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.list, "list", false, "list the devices that a disk can be written to")
	cmd.Flags().BoolVar(&f.all, "all", false, "with --list, also list the devices that are refused, and why")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "write to a device without asking; needs --serial")
	cmd.Flags().StringVar(&f.serial, "serial", "", "write only to the device with this serial `number`")
	cmd.Flags().BoolVar(&f.noVerify, "no-verify", false, "do not read back and compare what was written to a device")
	takes, runs := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return exit.Args(cobra.NoArgs)(cmd, args)
		}
		return takes(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return f.showList(cmd)
		}
		return runs(cmd, args)
	}
}
