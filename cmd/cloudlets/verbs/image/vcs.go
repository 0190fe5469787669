package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/worktree"
)

func gitCommand() *cobra.Command {
	return vcsCommand(vcs.Git, "git", `  cloudlets git debian init
  cloudlets git debian add -A && cloudlets git debian commit -m "as it was installed"
  cloudlets git web clone https://images.example.net/debian.git
  cloudlets git web merge security-updates
  cloudlets tar web@v1.2 > web.tar`)
}

func hgCommand() *cobra.Command {
	return vcsCommand(vcs.Hg, "Mercurial", `  cloudlets hg debian init
  cloudlets hg debian addremove && cloudlets hg debian commit -m "as it was installed"
  cloudlets hg web clone https://images.example.net/debian
  cloudlets tar web@v1.2 > web.tar`)
}

// vcsCommand is the verb that runs a tool of revision control. All its flags go
// to the tool.
func vcsCommand(kind vcs.Kind, name, example string) *cobra.Command {
	return &cobra.Command{
		Use: string(kind) + " IMAGE COMMAND [ARGS...]", Short: "Keep an image under revision control with " + name,
		Long: fmt.Sprintf(`Run %[1]s with an image as its repository. IMAGE is a directory; the arguments
after it are %[1]s's own, and so is the exit code. "clone" makes the directory.

What %[1]s does not store (owners, modes, extended attributes, empty directories,
devices, FIFOs, hard links) is kept in /.cloudlet/metadata, with one line for each
file that differs from the default. This file is written before %[1]s reads the
image, is part of every commit, and is applied after %[1]s changed the image.
Until it is applied, only the owner can read what %[1]s writes. If you are not
root, what only root can set stays in that file. Volatile files are ignored.`, kind),
		Example: example, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return runTool(cmd, kind, args) },
	}
}

// mergeVerb is the hidden verb by which the tools merge metadata files.
const mergeVerb = "merge-metadata"

func mergeMetadataCommand() *cobra.Command {
	return &cobra.Command{
		Use: mergeVerb + " BASE OURS THEIRS RESULT", Hidden: true, Args: exit.ExactArgs(4),
		RunE: func(_ *cobra.Command, args []string) error {
			conflicts, err := worktree.MergeFiles(args[0], args[1], args[2], args[3])
			if err != nil {
				return err
			}
			if len(conflicts) > 0 {
				return errors.New("both branches changed the metadata of " + strings.Join(conflicts, ", "))
			}
			return nil
		},
	}
}
