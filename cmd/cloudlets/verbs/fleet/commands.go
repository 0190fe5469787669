// Package fleet has the verbs by which a person sees what machines do, and orders what they
// shall do.
package fleet

import "github.com/spf13/cobra"

// Commands are the verbs that ask the daemon at a socket about machines and their images.
func Commands(socket *string) []*cobra.Command {
	return []*cobra.Command{
		machinesCommand(socket), traceCommand(socket), installCommand(socket), rolloutsCommand(socket), rollbackCommand(socket), bootCommand(socket),
		confirmCommand(socket), consoleCommand(socket), powerCommand(socket), forgetCommand(socket), imagesCommand(socket),
	}
}
