package main

import (
	"os"
	"path/filepath"

	"cloudlets/provision/agent"
	"cloudlets/provision/live"
	"cloudlets/provision/process1"
)

// processOne is process 1 of a RAM disk, if this is one: that of a live
// system, where the kernel's command line says so, or else the agent.
func processOne() bool {
	if !startedByKernel(os.Getpid(), os.Args) {
		return false
	}
	// What cannot be mounted here the agent tries again, and says.
	if err := process1.MountEarly(); err == nil {
		if cmdline, err := live.ReadCmdline(); err == nil && live.Asked(cmdline) {
			live.Main(version, cmdline)
		}
	}
	agent.Main(version)
	return true
}

// startedByKernel says whether this is process 1 of a RAM disk, which is
// called /init there. A server in a container is process 1 as well, and so is
// what enters an image, but by other names.
func startedByKernel(pid int, args []string) bool {
	return pid == 1 && len(args) > 0 && filepath.Base(args[0]) == "init"
}
