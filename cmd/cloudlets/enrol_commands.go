package main

import "github.com/spf13/cobra"

// enrolCommands are the verbs that make strangers machines of the site, by the daemon at a socket.
func enrolCommands(socket *string) []*cobra.Command {
	return []*cobra.Command{approveCommand(socket), importMachinesCommand(socket)}
}
