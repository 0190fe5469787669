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
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if startedByKernel(os.Getpid(), os.Args) {
		agent.Main(version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// startedByKernel says whether this is process 1 of a RAM disk, which is
// called /init there. A server in a container is process 1 as well, and so is
// what enters an image, but by other names.
func startedByKernel(pid int, args []string) bool {
	return pid == 1 && len(args) > 0 && filepath.Base(args[0]) == "init"
}
