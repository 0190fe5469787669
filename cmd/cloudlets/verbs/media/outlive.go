package media

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/imageflags"
)

// outliveFlags say whether a disk's system grows with it, and which of its data
// outlive the system.
type outliveFlags struct {
	grow      bool
	partition imageflags.Size
	keep      bool
}

func (f *outliveFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.grow, "grow", false, "let the system grow to the disk's size whenever it starts; on a device it always has the whole size")
	cmd.Flags().Var(&f.partition, "persistent-partition", "make a partition of this size, such as 20GiB, for the paths that the manifest calls persistent")
	cmd.Flags().BoolVar(&f.keep, "keep-persistent", false, "keep the persistent partition of a device, and write the rest anew")
	cmd.MarkFlagsMutuallyExclusive("persistent-partition", "keep-persistent")
}

func (f *outliveFlags) given() bool { return f.grow || f.keep || f.partition > 0 }
