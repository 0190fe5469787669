// Package footprint gives memory back to the system that this process has needed for a
// time only.
package footprint

import "runtime/debug"

// Release collects garbage, and gives back what is free of the heap, and the pages of
// the program. It takes some milliseconds.
func Release() {
	debug.FreeOSMemory()
	ReleaseProgram()
}
