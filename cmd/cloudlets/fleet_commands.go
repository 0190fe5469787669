package main

import "github.com/spf13/cobra"

// fleetCommands are the verbs that ask the daemon at a socket about machines and their images.
func fleetCommands(socket *string) []*cobra.Command {
	return []*cobra.Command{
		machinesCommand(socket), traceCommand(socket), installCommand(socket), rolloutsCommand(socket), rollbackCommand(socket), bootCommand(socket),
		confirmCommand(socket), consoleCommand(socket), powerCommand(socket), forgetCommand(socket), imagesCommand(socket),
	}
}
