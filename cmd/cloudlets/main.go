// Command cloudlets boots machines from the network and installs cloudlets on
// them. One static binary is the server, its command line, and, as process 1
// of a RAM disk, the agent that installs a machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"cloudlets/provision/agent"
	"cloudlets/provision/live"
	"cloudlets/provision/process1"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if startedByKernel(os.Getpid(), os.Args) {
		processOne()
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
		if cmdline, err := live.ReadCmdline(); err == nil && live.Asked(cmdline) {
			live.Main(version, cmdline)
		}
	}
	agent.Main(version)
}

// startedByKernel says whether this is process 1 of a RAM disk, which is
// called /init there. A server in a container is process 1 as well, and so is
// what enters an image, but by other names.
func startedByKernel(pid int, args []string) bool {
	return pid == 1 && len(args) > 0 && filepath.Base(args[0]) == "init"
}
