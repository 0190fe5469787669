// Command cloudlets boots machines from the network and installs cloudlets on
// them. One static binary is the server, its command line, and, as process 1,
// the agent that installs a machine, what starts a live system, and what a
// disk that grows or keeps data does before the image's own first program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if processOne() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
