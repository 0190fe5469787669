package main

import "github.com/spf13/cobra"

// imageCommands are the verbs that make, examine, configure, keep and enter images.
func imageCommands() []*cobra.Command {
	return []*cobra.Command{
		specsCommand(), manifestCommand(), schemaCommand(), findCommand(), tarCommand(), configCommand(),
		validateCommand(), validateArgsCommand(), renderTemplatesCommand(), importCommand(), pushCommand(), initCommand(),
		chrootCommand(), gitCommand(), hgCommand(), chrootChildCommand(), mergeMetadataCommand(),
	}
}
