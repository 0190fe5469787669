//go:build !linux

package footprint

// ReleaseProgram does nothing where the kernel cannot be asked for it.
func ReleaseProgram() {}

// ReleaseMapping does nothing where the kernel cannot be asked for it.
func ReleaseMapping(uintptr, uintptr) {}
