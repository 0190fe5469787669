package main

import "github.com/spf13/cobra"

// outliveFlags say what of a disk outlives its size, or its system.
type outliveFlags struct {
	grow      bool
	partition sizeFlag
	keep      bool
}

func (f *outliveFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.grow, "grow", false, "have the system take all of a larger disk whenever it starts; a device is used whole in any case")
	cmd.Flags().Var(&f.partition, "persistent-partition", "make a partition of this size, such as 20GiB, for the paths that the manifest calls persistent")
	cmd.Flags().BoolVar(&f.keep, "keep-persistent", false, "leave the persistent partition of a device as it is, and make the rest anew")
	cmd.MarkFlagsMutuallyExclusive("persistent-partition", "keep-persistent")
}

func (f *outliveFlags) given() bool { return f.grow || f.keep || f.partition > 0 }
