package sandbox

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lowPriority lets what this goroutine does wait for everything else on this computer.
// If it cannot, it is as urgent as before.
func lowPriority() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // 0 is this thread
}
