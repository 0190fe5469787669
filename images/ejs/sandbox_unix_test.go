//go:build unix

package ejs

import (
	"syscall"
	"testing"
	"time"
)

// TestSandboxWaitsForABusyComputer stops a child for longer than a render may
// take, as a computer does that has too much else to do.
func TestSandboxWaitsForABusyComputer(t *testing.T) {
	const limit = 50 * time.Millisecond
	s := newSandbox(t, Options{Workers: 1, Limits: Limits{Time: limit}})
	mustRender(t, s)
	child := s.idle[0].cmd.Process
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(limit+3*childGrace, func() { child.Signal(syscall.SIGCONT) })
	mustRender(t, s)
	if again := s.idle[0].cmd.Process.Pid; again != child.Pid {
		t.Errorf("child %d was replaced by %d", child.Pid, again)
	}
}
