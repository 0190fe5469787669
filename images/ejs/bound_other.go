//go:build !linux

package ejs

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// lookPause is how often a child looks at the memory that it has taken.
const lookPause = 5 * time.Millisecond

// bound has the process end when it has taken more memory than it may. No
// limit of the kernel's counts what the Go runtime only reserves, on every
// host, so the process looks at itself: what a template takes at one stroke,
// between two looks, is not bounded.
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
