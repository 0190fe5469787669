package etcd

import (
	"os/exec"
	"syscall"
)

// dieTogether has a program end with the test that started it.
func dieTogether(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// Pause stops a member, and Resume lets it go on.
func (c *Cluster) Pause(i int)  { c.members[i].cmd.Process.Signal(syscall.SIGSTOP) }
func (c *Cluster) Resume(i int) { c.members[i].cmd.Process.Signal(syscall.SIGCONT) }
