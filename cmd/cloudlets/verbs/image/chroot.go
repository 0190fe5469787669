package image

import (
	"os"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/images/oci"
	"cloudlets/images/vcs"
)

// chrootVerb is the hidden verb that runs as process 1 inside an image.
const chrootVerb = "chroot-child"

// chrootFlags are the flags of the verb chroot.
type chrootFlags struct {
	image imageflags.Image
	entry string
	env   []string
	write bool
}

func chrootCommand() *cobra.Command {
	var f chrootFlags
	cmd := &cobra.Command{
		Use: "chroot IMAGE [--entry NAME] [--write] [-- COMMAND...]", Short: "Run a command, or a shell, in an image",
		Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Run COMMAND in an image, or without one the image's chroot entry point. It has
its own processes, mounts, host name and /dev, and uses this machine's network.
What it writes is thrown away at the end. With --write it is kept in the image,
which must be a directory. Nothing stays mounted or running.

You need to be root, or to have a system that lets users make namespaces; the
command then runs as root inside. This is not a jail: root inside is root for
this machine's kernel.

The exit code is the command's. It is 128 plus the number of the signal if a
signal ended the command, 127 if there is no such command, and 126 if it cannot
be executed.`,
		Example: `  cloudlets chroot debian-12.tar.zst
  cloudlets chroot /srv/web1 --write -- apt-get install -y nginx`,
	}
	f.image.Bare = true
	f.image.Add(cmd)
	cmd.Flags().StringVar(&f.entry, "entry", "", "the `name` of the entry point; by default the manifest's default")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "set `name=value` in the command's environment")
	cmd.Flags().BoolVar(&f.write, "write", false, "keep what the command writes, in the image")
	cmd.RunE = f.runE()
	return cmd
}

// isRootDirectory says whether path is a directory that holds an image's files
// themselves. An OCI layout and a bare repository do not.
func isRootDirectory(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	_, layout := oci.Detect(path)
	return !layout && !vcs.IsBare(path)
}
