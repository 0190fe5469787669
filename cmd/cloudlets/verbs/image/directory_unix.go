//go:build unix

package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/dirtree"
	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
	"cloudlets/images/oci"
	"cloudlets/images/rootfs"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/worktree"
)

// The verbs that change an image's directory.

// importE returns the function of the verb import.
func importE(f *imageflags.Image, asJSON *bool) func(*cobra.Command, []string) error {
	return f.OnImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
		return unpack(cmd, im, args[0], *asJSON)
	})
}

// unpack writes an image into a directory, and records the metadata that it
// could not set.
func unpack(cmd *cobra.Command, im *images.Image, dir string, asJSON bool) error {
	show := stdio.NewCounter(cmd.ErrOrStderr(), "unpacking "+im.Name)
	report, err := rootfs.Write(cmd.Context(), dir, im.Source, rootfs.Options{Progress: show.Set})
	show.End()
	if err != nil {
		return err
	}
	words := cmd.ErrOrStderr()
	fmt.Fprintf(words, "unpacked %s into %s: %d files, %s\n", im.Name, dir, report.Entries, bytesize.Decimal(report.Bytes))
	tellCommand(words, im.Source)
	tellKernel(cmd, dir)
	if err := tellPointers(cmd.Context(), words, dir); err != nil {
		return err
	}
	if len(report.Lost) > 0 {
		err = recordLost(cmd, im, dir, len(report.Lost))
	}
	if err != nil || !asJSON {
		return err
	}
	return printing.JSON(cmd.OutOrStdout(), imported{Image: im.Path, Directory: dir, Files: report.Entries, Bytes: report.Bytes, Digest: digestOf(im.Source), Recorded: len(report.Lost)})
}

// imported is what the verb import prints about its result.
type imported struct {
	Image     string `json:"image"`
	Directory string `json:"directory"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
	Digest    string `json:"digest,omitempty"`   // of a container image
	Recorded  int    `json:"recorded,omitempty"` // files whose metadata only the metadata file has
}

// digestOf returns the digest of a container image, by which a registry has
// it. Other images have none.
func digestOf(src images.Source) string {
	if container, ok := src.(*oci.Image); ok {
		return container.Digest()
	}
	return ""
}

// recordLost records the metadata that could not be set.
func recordLost(cmd *cobra.Command, im *images.Image, dir string, lost int) error {
	recorded, err := trees.Collect(cmd.Context(), im.Source)
	if err != nil {
		return err
	}
	if _, err := metadata.Write(dir, recorded); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d files could not be given their owners, modes, attributes or types; %s records these, and cloudlets reads the directory accordingly\n", lost, metadata.Path)
	return nil
}

// tellPointers warns of files whose content is not in the directory.
func tellPointers(ctx context.Context, w io.Writer, dir string) error {
	tree, err := dirtree.Open(dir)
	if err != nil {
		return err
	}
	names, err := imageflags.Pointers(ctx, tree, everyPath)
	if err == nil && names != "" {
		fmt.Fprintf(w, "warning: Git LFS pointers are in the place of %s; %s\n", names, imageflags.PointerAdvice)
	}
	return err
}

// tellCommand prints the command of a container image. A directory does not
// keep it, but it may be what a chroot entry point should run.
func tellCommand(w io.Writer, src images.Source) {
	if container, ok := src.(*oci.Image); ok {
		c := container.Config()
		if words := append(c.Entrypoint, c.Cmd...); len(words) > 0 {
			fmt.Fprintf(w, "as a container it runs: %s\n", strings.Join(words, " "))
		}
	}
}

// setMetadata gives files of an image's directory their owners, modes, times and
// attributes, as far as this process may. A directory must come after what is in it.
func setMetadata(dir string, entries []images.Entry) error {
	root, err := rootfs.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	dirs := root.Dirs()
	defer dirs.Close()
	for _, e := range entries {
		if _, err := dirs.TrySetMetadata(&e); err != nil {
			return err
		}
	}
	return nil
}

// recoverDirectory completes a configuration that was interrupted.
func recoverDirectory(ctx context.Context, dir string) error { return rootfs.Recover(ctx, dir) }

// configureDirectory configures a directory in place.
func configureDirectory(ctx context.Context, dir string, o images.Overlay) error {
	return rootfs.Configure(ctx, dir, o)
}

// runTool runs the tool of revision control. The exit code is the tool's.
func runTool(cmd *cobra.Command, kind vcs.Kind, args []string) error {
	if len(args) > 0 && slices.Contains([]string{"-h", "--help"}, args[0]) {
		return cmd.Help()
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return exit.With(fmt.Errorf("the first argument is the image; see `%s --help`", cmd.CommandPath()), exit.Usage)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	// An interrupt goes to the tool. It does not end this program, which has to
	// put the image in order after the tool.
	code, err := worktree.Run(context.WithoutCancel(cmd.Context()), worktree.Options{
		Kind: kind, Dir: args[0], Args: args[1:], Signals: signals, Merge: []string{self, mergeVerb},
		Stdin: cmd.InOrStdin(), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
		Notice: func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "cloudlets: %s\n", text) },
	})
	switch {
	case err != nil:
		return exit.With(err, max(code, exit.Failed))
	case code != 0:
		return exit.Command(code)
	}
	return nil
}
