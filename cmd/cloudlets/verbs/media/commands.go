// Package media has the verbs that make what a machine starts from, out of an image (disks in
// files and on devices, live systems, folders for a kernel), and that update disks in place.
package media

import "github.com/spf13/cobra"

// Commands are the verbs that make disks and update them.
func Commands() []*cobra.Command {
	return []*cobra.Command{diskCommand(), rawCommand(), updateCommand()}
}
