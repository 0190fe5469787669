package main

import "github.com/spf13/cobra"

// mediaCommands are the verbs that make disks and update them.
func mediaCommands() []*cobra.Command {
	return []*cobra.Command{diskCommand(), rawCommand(), updateCommand()}
}
