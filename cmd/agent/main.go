//go:build linux

// Command agent is the program that machines run: it installs them, starts live
// systems, and prepares disks that grow or keep data. It has only what that takes, so
// it is a third of cloudlets, which carries it. Nobody starts it but a kernel.
package main

import (
	"fmt"
	"os"

	"cloudlets/provision/machine"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	if machine.Main(version) {
		return
	}
	fmt.Fprintf(os.Stderr, "This is cloudlets %s as machines run it. Only a kernel starts it, as its first process; for the command line, run cloudlets.\n", version)
	os.Exit(2)
}
