//go:build !amd64

package owndisk

import "cloudlets/images/disk/bootloader"

// code has no program: its instructions are made by the Go assembler as part of a server for
// the same processor.
func code(bootloader.Arch) []byte { return nil }
