// Package machine is what a machine runs as its first process: the installer or a
// live system in a RAM disk, and on a disk what comes before the image's own init.
// The program for machines (cmd/agent) has little else. The program for people has
// it too, so that it can take the other's place.
package machine

import (
	"os"
	"path"

	"cloudlets/images/target"
	"cloudlets/provision/agent"
	"cloudlets/provision/agent/diskless"
	"cloudlets/provision/live"
	"cloudlets/provision/mirror"
	"cloudlets/provision/netroot"
	"cloudlets/provision/preinit"
	"cloudlets/provision/process1"
)

// Main does the work of a machine's first process, if the kernel started this
// program as that, or of a process that this one left behind: to watch over a system on
// trial, or to fetch the root of a live machine. Otherwise it returns false at once. The version is that of
// the program.
func Main(version string) bool {
	if len(os.Args) > 0 && os.Args[0] == preinit.WatchName {
		preinit.WatchMain(os.Args[1:])
		return true
	}
	if len(os.Args) > 0 && os.Args[0] == netroot.ProcessName {
		diskless.FetchRoot()
		return true
	}
	switch startedByKernel(os.Getpid(), os.Args) {
	case "init":
		inRAMDisk(version)
		return true
	case path.Base(target.PreinitPath):
		preinit.Main(version, os.Args[1:])
		return true
	}
	return false
}

// inRAMDisk does the work of process 1 in a RAM disk. It starts a live system, or
// one on two disks, if the kernel's command line says so, and otherwise runs the agent.
func inRAMDisk(version string) {
	// If mounting fails here, the agent tries again and reports the error.
	if err := process1.MountEarly(); err == nil {
		cmdline, err := process1.Cmdline()
		switch {
		case err != nil: // the agent reports it
		case live.Asked(cmdline):
			live.Main(version, cmdline)
		case mirror.Asked(cmdline):
			mirror.Main(version, cmdline, os.Args[1:])
		}
	}
	agent.Main(version)
}

// startedByKernel returns the name under which the kernel started this program
// as process 1: "init" in a RAM disk, "preinit" on a disk. It returns "" if this
// is not process 1. A server in a container and the child that enters an image
// are process 1 too, under other names.
func startedByKernel(pid int, args []string) string {
	if pid != 1 || len(args) == 0 {
		return ""
	}
	return path.Base(args[0])
}
