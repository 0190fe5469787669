// Package server has the verbs of the server: those that run it, keep its state, examine it
// and its site, and ask it about its servers and networks.
package server

import "github.com/spf13/cobra"

// Commands are the verbs that run a server, keep its state, examine it and its site, and
// ask the daemon at a socket about servers and networks. Version is that of this program.
func Commands(socket *string, version string) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(socket, version), serversCommand(socket), networksCommand(socket), leasesCommand(socket), doctorCommand(socket), checkCommand(),
		referenceCommand(), caCommand(socket), backupCommand(socket), restoreCommand(), checkStoreCommand(),
	}
}
