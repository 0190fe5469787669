package cputime

import (
	"runtime"
	"testing"
	"time"
)

// TestWaitingTakesNone also shows that work takes some: both loops would not end
// otherwise.
func TestWaitingTakesNone(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, used := range map[string]func() time.Duration{"process": Process, "thread": Thread} {
		for began := used(); used()-began < 20*time.Millisecond; {
		}
		before, wait := used(), 100*time.Millisecond
		time.Sleep(wait)
		if took := used() - before; took >= wait {
			t.Errorf("%s: waiting %v took %v of a processor", name, wait, took)
		}
	}
}
