// Package imageflags has the image that a verb takes, as the command line names it: opened,
// configured, and as the system that becomes a disk.
package imageflags

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/source"
	"cloudlets/images/tarball"
)

// imageHelp ends the help of every verb that takes an IMAGE.
const imageHelp = `

IMAGE is a directory, a tarball (.tar, .gz, .zst, .xz, .bz2), "-" for a tarball
or a container image on standard input, REPOSITORY@REVISION of a git or
Mercurial repository, or a container image (an OCI layout or archive, what
"docker save" writes); FILE:TAG selects one of several.`

// Image are the flags of every verb that takes an image.
type Image struct {
	manifest string
	maxSize  Size
	platform string
	Bare     bool      // the verb also accepts an image without a manifest
	Registry *Registry // of a verb that also accepts an image in a registry
}

// Add adds the flags to a verb, and says in its help what an IMAGE is.
func (f *Image) Add(cmd *cobra.Command) {
	f.maxSize = tarball.DefaultMaxSize
	cmd.Long = strings.TrimSpace(cmd.Long) + imageHelp
	cmd.Flags().StringVar(&f.manifest, "manifest", "", "read the manifest from this `file` instead of the image")
	cmd.Flags().Var(&f.maxSize, "max-size", "refuse an image that unpacks to more than this")
	cmd.Flags().StringVar(&f.platform, "platform", "", "the `platform` to take from an OCI image, such as linux/arm64")
	_ = cmd.MarkFlagFilename("manifest") // fails only for an unknown flag
}

// open opens an image. The caller closes it.
func (f *Image) open(cmd *cobra.Command, ref string) (*images.Image, error) {
	opt := source.Options{Bare: f.Bare, MaxSize: int64(f.maxSize), Platform: f.platform, Stdin: stdio.Interruptible(cmd.Context(), cmd.InOrStdin())}
	opt.Note = func(sentence string) { fmt.Fprintf(cmd.ErrOrStderr(), "cloudlets: %s: %s\n", ref, sentence) }
	if f.Registry != nil {
		reg, end := f.Registry.Options(cmd, "fetching "+ref)
		defer end()
		opt.Registry = &reg
	}
	if f.manifest != "" {
		text, err := readFile(f.manifest)
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		opt.Manifest = text
	}
	return source.Open(cmd.Context(), ref, opt)
}

// OnImage runs a verb on the image that its first argument names.
func (f *Image) OnImage(verb func(cmd *cobra.Command, im *images.Image, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		if config := cmd.Flags().Lookup("config"); args[0] == source.Stdin && config != nil && config.Value.String() == "-" {
			return exit.With(errors.New("the image and --config cannot both be standard input"), exit.Usage)
		}
		im, err := f.open(cmd, args[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, im.Close()) }()
		return verb(cmd, im, args[1:])
	}
}

// WithTree calls look with the tree of an image.
func WithTree(ctx context.Context, im *images.Image, look func(images.Tree) error) error {
	tree, err := im.Tree(ctx)
	if err != nil {
		return err
	}
	return look(tree)
}
