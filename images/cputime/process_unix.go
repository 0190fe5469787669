//go:build unix

package cputime

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Process returns the processor time that all threads of this process have used.
func Process() time.Duration { return used(unix.RUSAGE_SELF) }

func used(who int) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic(fmt.Sprintf("measure the processor time of %d: %v", who, err)) // only an unknown who fails
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
