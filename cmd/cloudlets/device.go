package main

import "github.com/spf13/cobra"

// deviceFlags say how a disk is written to a real device.
type deviceFlags struct {
	list     bool
	all      bool
	yes      bool
	serial   string
	noVerify bool
	deviceHost
}

// add gives the verb its flags for devices, and --list in place of an image.
func (f *deviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.list, "list", false, "list the devices that a disk can be written to")
	cmd.Flags().BoolVar(&f.all, "all", false, "with --list: the others too, and why they are refused")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "write to a device without asking; it needs --serial")
	cmd.Flags().StringVar(&f.serial, "serial", "", "the serial `number` of the device that is meant")
	cmd.Flags().BoolVar(&f.noVerify, "no-verify", false, "do not read back what was written to a device")
	takes, runs := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.list {
			return usage(cobra.NoArgs)(cmd, args)
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
