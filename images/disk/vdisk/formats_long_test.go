//go:build linux && long

package vdisk

import "testing"

func TestLongForeignToolsReadTwoTebibytes(t *testing.T) {
	for _, f := range Formats() {
		if f.Name == "gce" {
			continue // every byte of a tar is written: that takes minutes
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			size := sizeFor(t, f, 2*tib)
			c := content{size, []extent{
				{0, noise(7, mib)}, {size/2 - 5, noise(8, 10)}, {size - sector, text(sector)},
			}}
			testForeign(t, f, c, testOptions)
		})
	}
}

func TestLongForeignToolsReadVHDXBlocks(t *testing.T) {
	readVHDXBlocks(t, 2*mib, 4*mib, 8*mib, 16*mib)
}
