package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cloudlets/images/disk"
	"cloudlets/images/disk/device"
)

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

// kept finds the partition of a device that is to be kept; nil is none.
func (f *outliveFlags) kept(facts device.Facts) (*disk.Partition, error) {
	if !f.keep {
		return nil, nil
	}
	file, err := os.Open(facts.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, err := disk.FindPersistent(file, facts.Capacity(), facts.Sector)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; without --keep-persistent all of it is made anew", facts.Path, err)
	}
	return &p, nil
}
