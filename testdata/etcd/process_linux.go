package etcd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// dieTogether has a program end with the test that started it.
func dieTogether(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// Pause stops a member. The signal only asks for that: each
// thread runs until it sees it, and might answer meanwhile. So Pause waits for all.
func (c *Cluster) Pause(i int) {
	c.t.Helper()
	process := c.members[i].cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		c.t.Fatalf("stop member %d: %v", i, err)
	}
	for !stopped(c.t, process.Pid) {
		runtime.Gosched()
	}
}

// Resume lets a member that is paused go on.
func (c *Cluster) Resume(i int) {
	c.t.Helper()
	if err := c.members[i].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatalf("let member %d go on: %v", i, err)
	}
}

// stopped says whether no thread of a process runs.
func stopped(t interface{ Fatal(...any) }, pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatal("the member has ended: ", err)
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		// The state is after the name, which is in parentheses and may contain any.
		if _, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" ")); !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}
