//go:build long

package bed_test

import (
	"testing"

	"cloudlets/testdata/bed"
)

// The tests in this file do with the whole Debian what others do with the small
// cloudlet, and boot Debian where another test boots it with other firmware.

func TestLongUEFIHTTP(t *testing.T) {
	t.Parallel()
	installByHTTPBoot(t, debian)
}

func TestLongServerKilled(t *testing.T) {
	t.Parallel()
	installAcrossKill(t, debian)
}

func TestLongDisk(t *testing.T) {
	t.Parallel()
	bootDebianDisk(t, bed.BIOS, "raw")
}

func TestLongSecureBoot(t *testing.T) { bootSigned(t, debian) }
