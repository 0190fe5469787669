//go:build !linux

package heap

// releaseProgram does nothing where the kernel cannot be asked for it.
func releaseProgram() {}
