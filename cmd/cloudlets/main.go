// Command cloudlets boots machines from the network and installs cloudlets on
// them. One static binary is the server, its command line, and, as process 1,
// the agent that installs a machine, what starts a live system, and what a
// disk that grows or keeps data does before the image's own first program.
package main

import (
	"context"
	"os"
	"os/signal"
	"path"
	"syscall"

	"cloudlets/images/target"
	"cloudlets/provision/agent"
	"cloudlets/provision/live"
	"cloudlets/provision/preinit"
	"cloudlets/provision/process1"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	switch startedByKernel(os.Getpid(), os.Args) {
	case "init":
		processOne()
		return
	case path.Base(target.PreinitPath):
		preinit.Main(version, os.Args[1:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// processOne is process 1 of a RAM disk: that of a live system, where the
// kernel's command line says so, or else the agent.
func processOne() {
	// What cannot be mounted here the agent tries again, and says.
	if err := process1.MountEarly(); err == nil {
		if cmdline, err := process1.Cmdline(); err == nil && live.Asked(cmdline) {
			live.Main(version, cmdline)
		}
	}
	agent.Main(version)
}

// startedByKernel is what the kernel calls this program as process 1: "init" in
// a RAM disk, "preinit" on a disk. It is "" for a server in a container, which
// is process 1 as well, and for what enters an image.
func startedByKernel(pid int, args []string) string {
	if pid != 1 || len(args) == 0 {
		return ""
	}
	return path.Base(args[0])
}
