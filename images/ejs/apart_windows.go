package ejs

import "syscall"

// apart makes a process start so that Ctrl-C in the console does not reach it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
