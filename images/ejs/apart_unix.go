//go:build unix

package ejs

import "syscall"

// apart makes a process start in its own process group.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
