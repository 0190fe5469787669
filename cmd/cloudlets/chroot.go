package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cloudlets/images/oci"
	"cloudlets/images/vcs"
)

// chrootVerb is the hidden verb that is process 1 inside an image.
const chrootVerb = "chroot-child"

// chrootFlags say how an image is entered.
type chrootFlags struct {
	image imageFlags
	entry string
	env   []string
	write bool
}

func chrootCommand() *cobra.Command {
	var f chrootFlags
	cmd := &cobra.Command{
		Use: "chroot IMAGE [--entry NAME] [--write] [-- COMMAND...]", Short: "Run a command, or a shell, in an image",
		Args: usage(cobra.MinimumNArgs(1)),
		Long: `Enter an image by one of its chroot entry points, or run a command in it. It
has processes, mounts, a host name and a /dev of its own, and the network of
this machine. What it writes is thrown away at the end, unless --write keeps it
in the image, which must be a directory then. Nothing stays mounted or running.

It takes root, or a system that lets users make namespaces; the user is root
inside then. It is no jail: root inside is root for this machine's kernel.

The exit code is the command's: 128 and the number of the signal that ended it,
127 where there is no such command, 126 where it cannot be executed.`,
		Example: `  cloudlets chroot debian-12.tar.zst
  cloudlets chroot /srv/web1 --write -- apt-get install -y nginx`,
	}
	f.image.bare = true
	f.image.add(cmd)
	cmd.Flags().StringVar(&f.entry, "entry", "", "the `name` of the entry point; else the default one")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "`name=value` for the command's environment")
	cmd.Flags().BoolVar(&f.write, "write", false, "let the command change the image")
	cmd.RunE = f.runE()
	return cmd
}

// commandEnded is a command's exit code, of which nothing is to be said.
type commandEnded int

func (c commandEnded) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", int(c))
}

// isRootDirectory says whether a directory holds an image's files as they
// are, and not an archive or a repository of them.
func isRootDirectory(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	_, layout := oci.Detect(path)
	return !layout && !vcs.IsBare(path)
}
