//go:build !linux

package ejs

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// lookPause is how often a child checks how much memory it has taken.
const lookPause = 5 * time.Millisecond

// bound ends the process when it has taken too much memory. Not every system
// has a limit that ignores the address space which the Go runtime only
// reserves, so the process checks itself. A template can exceed the limit
// between two checks.
func bound(memory int64) error {
	debug.SetMemoryLimit(memory * 3 / 4)
	debug.SetMaxStack(maxStack)
	most := heap() + uint64(memory)
	go func() {
		for range time.Tick(lookPause) {
			if heap() > most {
				fmt.Fprintln(os.Stderr, "out of memory")
				os.Exit(exitMemory)
			}
		}
	}()
	return nil
}

// exitMemory is the exit code of a child that took too much memory.
const exitMemory = 4
