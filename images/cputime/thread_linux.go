package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Thread returns the processor time that the calling thread has used. Callers
// lock themselves to it (runtime.LockOSThread) between two calls. Where a system
// does not tell it, it is the time of the clock, which runs at least as fast.
func Thread() time.Duration { return used(unix.RUSAGE_THREAD) }
