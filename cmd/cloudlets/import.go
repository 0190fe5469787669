package main

import (
	"github.com/spf13/cobra"

	"cloudlets/images/metadata"
)

func importCommand() *cobra.Command {
	f := imageFlags{bare: true}
	cmd := &cobra.Command{
		Use: "import SRC DIR", Short: "Unpack an image into a directory of its own", Args: exactArgs(2),
		Long: `Unpack an image into a new directory, with the owners, modes, extended
attributes, devices and links of its files. Some of these only root can set. If
you are not root, they are recorded in ` + metadata.Path + `, and cloudlets
reads the directory as it is recorded there. SRC needs no manifest; "cloudlets
init" writes one.`,
		Example: "  cloudlets import debian-12.tar.zst web && cloudlets init web\n  docker save web > web.tar && cloudlets import web.tar web",
	}
	f.add(cmd)
	cmd.RunE = importE(&f)
	return cmd
}
