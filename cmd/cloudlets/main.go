// Command cloudlets boots machines from the network and installs cloudlets on
// them. One static binary is the server and its command line. As process 1 of
// a machine it is also the agent that installs it, the program that starts a
// live system, and the program that prepares a disk which grows or keeps data
// before the image's own init runs.
//
// The verbs have packages by who uses them, in which each has a file of its own;
// root.go joins them. The server's parts are joined in package daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cloudlets/cmd/cloudlets/heap"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if processOne() {
		return
	}
	heap.Begin()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
