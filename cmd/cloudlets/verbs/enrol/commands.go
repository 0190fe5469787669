// Package enrol has the verbs that write the files of machines into the site.
package enrol

import "github.com/spf13/cobra"

// Commands are the verbs that make strangers machines of the site, by the daemon at a socket.
func Commands(socket *string) []*cobra.Command {
	return []*cobra.Command{approveCommand(socket), importMachinesCommand(socket)}
}
