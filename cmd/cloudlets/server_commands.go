package main

import "github.com/spf13/cobra"

// serverCommands are the verbs that run a server, keep its state, examine it and its site, and
// ask the daemon at a socket about servers and networks. Version is that of this program.
func serverCommands(socket *string, version string) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(socket, version), serversCommand(socket), networksCommand(socket), leasesCommand(socket), doctorCommand(socket), checkCommand(),
		referenceCommand(), caCommand(socket), backupCommand(socket), restoreCommand(), checkStoreCommand(),
	}
}
