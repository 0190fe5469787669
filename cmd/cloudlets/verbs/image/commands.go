// Package image has the verbs that make, examine, configure, keep and enter images. They need
// no server.
package image

import "github.com/spf13/cobra"

// Commands are the verbs that make, examine, configure, keep and enter images.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		specsCommand(), manifestCommand(), schemaCommand(), findCommand(), tarCommand(), configCommand(),
		validateCommand(), validateArgsCommand(), renderTemplatesCommand(), importCommand(), pushCommand(), initCommand(),
		chrootCommand(), gitCommand(), hgCommand(), chrootChildCommand(), mergeMetadataCommand(),
	}
}
