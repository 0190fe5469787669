package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/images"
	"cloudlets/images/metadata"
	"cloudlets/images/oci"
	"cloudlets/images/rootfs"
	"cloudlets/provision"
)

func importCommand() *cobra.Command {
	f := imageFlags{bare: true}
	cmd := &cobra.Command{
		Use: "import SRC DIR", Short: "Unpack an image into a directory of its own", Args: exactArgs(2),
		Long: `Unpack an image into a new directory, with all that its files have: owners,
modes, extended attributes, devices, links. Who is not root cannot give files
to others: what is missing is recorded in ` + metadata.Path + `, and the directory
is read as it is recorded from then on. SRC needs no manifest; "cloudlets init"
writes one.`,
		Example: "  cloudlets import debian-12.tar.zst web && cloudlets init web\n  docker save web > web.tar && cloudlets import web.tar web",
	}
	f.add(cmd)
	cmd.RunE = f.onImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
		return unpack(cmd, im, args[0])
	})
	return cmd
}

// unpack writes an image into a directory, and records what could not be.
func unpack(cmd *cobra.Command, im *images.Image, dir string) error {
	show := newCounter(cmd.ErrOrStderr(), "unpacking "+im.Name)
	report, err := rootfs.Write(cmd.Context(), dir, im.Source, rootfs.Options{Progress: show.set})
	show.end()
	if err != nil {
		return err
	}
	words := cmd.ErrOrStderr()
	fmt.Fprintf(words, "unpacked %s into %s: %d files, %s\n", im.Name, dir, report.Entries, provision.FormatSize(report.Bytes))
	tellCommand(words, im.Source)
	if len(report.Lost) == 0 {
		return nil
	}
	recorded, err := metadata.Collect(cmd.Context(), im.Source)
	if err != nil {
		return err
	}
	if _, err := metadata.Write(dir, recorded); err != nil {
		return err
	}
	fmt.Fprintf(words, "%d files could not be given their owners, modes, attributes or types; %s records them, and the directory is read by it\n", len(report.Lost), metadata.Path)
	return nil
}

// tellCommand tells what a container image runs, which a directory does not
// keep: it may be what a chroot entry point should run.
func tellCommand(w io.Writer, src images.Source) {
	if container, ok := src.(*oci.Image); ok {
		c := container.Config()
		if words := append(c.Entrypoint, c.Cmd...); len(words) > 0 {
			fmt.Fprintf(w, "as a container it runs: %s\n", strings.Join(words, " "))
		}
	}
}
