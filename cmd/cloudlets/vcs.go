package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/images/vcs"
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

// vcsCommand is the verb that runs a tool of revision control. Its flags are
// the tool's.
func vcsCommand(kind vcs.Kind, name, example string) *cobra.Command {
	return &cobra.Command{
		Use: string(kind) + " IMAGE COMMAND [ARGS...]", Short: "Keep an image under revision control with " + name,
		Long: fmt.Sprintf(`Run %[1]s with an image as its repository. IMAGE is a directory; all that
follows is %[1]s's own, and so is the exit code. "clone" makes the directory.

What %[1]s loses (owners, modes, extended attributes, empty directories, devices,
FIFOs, hard links) is kept in /.cloudlet/metadata: a line for each file that is
not the default. It is written before %[1]s looks at the files, is part of every
commit, and is applied when %[1]s has changed the files. Volatile files are
ignored. Until everything is in its place only the owner can read what %[1]s
writes. An ordinary user's image keeps in that file what only root can set.`, kind),
		Example: example, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error { return runTool(cmd, kind, args) },
	}
}

// mergeVerb is the hidden verb by which the tools merge metadata files.
const mergeVerb = "merge-metadata"

func mergeMetadataCommand() *cobra.Command {
	return &cobra.Command{
		Use: mergeVerb + " BASE OURS THEIRS RESULT", Hidden: true, Args: exactArgs(4),
		RunE: func(_ *cobra.Command, args []string) error {
			conflicts, err := vcs.MergeFiles(args[0], args[1], args[2], args[3])
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
