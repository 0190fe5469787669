package main

import (
	"os"
	"path"

	"cloudlets/images/target"
	"cloudlets/provision/agent"
	"cloudlets/provision/live"
	"cloudlets/provision/preinit"
	"cloudlets/provision/process1"
)

// processOne is a machine's first process, if this is one, and returns only if
// it is none.
func processOne() bool {
	switch startedByKernel(os.Getpid(), os.Args) {
	case "init":
		inRAMDisk()
		return true
	case path.Base(target.PreinitPath):
		preinit.Main(version, os.Args[1:])
		return true
	}
	return false
}

// inRAMDisk is process 1 of a RAM disk: that of a live system, where the
// kernel's command line says so, or else the agent.
func inRAMDisk() {
	// What cannot be mounted here the agent tries again, and says.
	if err := process1.MountEarly(); err == nil {
		if cmdline, err := process1.Cmdline(); err == nil && live.Asked(cmdline) {
			live.Main(version, cmdline)
		}
	}
	agent.Main(version)
}

// startedByKernel is what the kernel calls this program as process 1: "init" in
// a RAM disk, "preinit" on a disk. It is "" for what is no process 1; a server
// in a container is one as well, and so is what enters an image, by other
// names.
func startedByKernel(pid int, args []string) string {
	if pid != 1 || len(args) == 0 {
		return ""
	}
	return path.Base(args[0])
}
