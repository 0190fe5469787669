package main

import "cloudlets/provision/machine"

// processOne does the work of a machine's first process, if the kernel started
// this program as that, and otherwise returns false at once. A build that carries
// no program for machines goes to them itself.
func processOne() bool { return machine.Main(version) }
