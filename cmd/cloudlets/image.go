package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/ejs"
	"cloudlets/images/manifest"
	"cloudlets/images/source"
	"cloudlets/images/tarball"
)

// imageHelp ends the help of every verb that takes an IMAGE.
const imageHelp = `

IMAGE is a directory, a tarball (.tar, .gz, .zst, .xz, .bz2), "-" for a tarball
or a container image on standard input, REPOSITORY@REVISION of a git or
Mercurial repository, or a container image (an OCI layout or archive, what
"docker save" writes); FILE:TAG selects one of several.`

// imageFlags are the flags of every verb that takes an image.
type imageFlags struct {
	manifest string
	maxSize  sizeFlag
	platform string
	bare     bool           // the verb also accepts an image without a manifest
	registry *registryFlags // of a verb that also accepts an image in a registry
}

func (f *imageFlags) add(cmd *cobra.Command) {
	f.maxSize = tarball.DefaultMaxSize
	cmd.Long = strings.TrimSpace(cmd.Long) + imageHelp
	cmd.Flags().StringVar(&f.manifest, "manifest", "", "read the manifest from this `file` instead of the image")
	cmd.Flags().Var(&f.maxSize, "max-size", "refuse an image that unpacks to more than this")
	cmd.Flags().StringVar(&f.platform, "platform", "", "the `platform` to take from an OCI image, such as linux/arm64")
	_ = cmd.MarkFlagFilename("manifest") // fails only for an unknown flag
}

// open opens an image. The caller closes it.
func (f *imageFlags) open(cmd *cobra.Command, ref string) (*images.Image, error) {
	opt := source.Options{Bare: f.bare, MaxSize: int64(f.maxSize), Platform: f.platform, Stdin: stdio.Interruptible(cmd.Context(), cmd.InOrStdin())}
	opt.Note = func(sentence string) { fmt.Fprintf(cmd.ErrOrStderr(), "cloudlets: %s: %s\n", ref, sentence) }
	if f.registry != nil {
		reg, end := f.registry.options(cmd, "fetching "+ref)
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

// onImage runs a verb on the image that its first argument names.
func (f *imageFlags) onImage(verb func(cmd *cobra.Command, im *images.Image, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		if config := cmd.Flags().Lookup("config"); args[0] == source.Stdin && config != nil && config.Value.String() == "-" {
			return codedError{errors.New("the image and --config cannot both be standard input"), exitUsage}
		}
		im, err := f.open(cmd, args[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, im.Close()) }()
		return verb(cmd, im, args[1:])
	}
}

// maxText bounds the size in bytes of a manifest or a configuration that the
// command line names. Package manifest has limits of its own for the content.
const maxText = 16 << 20

// readFile reads a small file.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readText(f, name)
}

func readText(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("read %s: it is longer than the %s allowed", name, bytesize.Exact(maxText))
	}
	return text, nil
}

// readInput reads the value of a flag or an argument: JSON text, "@file", or
// "-" for standard input. The name tells in errors where the text came from.
func readInput(cmd *cobra.Command, value string) (name string, text []byte, err error) {
	switch {
	case value == "-":
		text, err = readText(cmd.InOrStdin(), "standard input")
		return "standard input", text, err
	case strings.HasPrefix(value, "@"):
		text, err = readFile(value[1:])
		return value[1:], text, err
	}
	return "the command line", []byte(value), nil
}

// configFlags say how an image is configured.
type configFlags struct {
	config string
	env    []string
	time   time.Duration
	// text is what config says once that was read, and name is its name in errors.
	text []byte
	name string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "the configuration: JSON text, @`file`, or - for standard input")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "`name=value` that templates see as env.name, such as hostname=web1")
	cmd.Flags().DurationVar(&f.time, "template-time", ejs.DefaultTime, "stop a template that takes longer than this")
}

// given says whether the command line has a configuration.
func (f *configFlags) given() bool { return f.config != "" || len(f.env) > 0 }

// take has text count in the place of a configuration of the command line. The name is that
// of the text in errors.
func (f *configFlags) take(name string, text []byte) { f.name, f.text = name, text }

// read returns the configuration's text, and a name for it in errors.
func (f *configFlags) read(cmd *cobra.Command) (name string, text []byte, err error) {
	if f.text == nil {
		f.name, f.text, err = f.readOnce(cmd)
	}
	return f.name, f.text, err
}

func (f *configFlags) readOnce(cmd *cobra.Command) (name string, text []byte, err error) {
	if f.config == "" {
		return "config", []byte("{}"), nil
	}
	name, text, err = readInput(cmd, f.config)
	if err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	return "config in " + name, text, nil
}

// load reads the configuration.
func (f *configFlags) load(cmd *cobra.Command) (manifest.Config, error) {
	name, text, err := f.read(cmd)
	if err != nil {
		return manifest.Config{}, err
	}
	return manifest.ParseConfig(name, text)
}

// environment returns what templates see as env.
func (f *configFlags) environment(target string) (map[string]any, error) {
	env := map[string]any{"target": target}
	for _, word := range f.env {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, codedError{fmt.Errorf("--env %s: write name=value, such as --env hostname=web1", word), exitUsage}
		}
		env[name] = value
	}
	return env, nil
}

// overlay renders the files that differ in one copy of an image.
func (f *configFlags) overlay(cmd *cobra.Command, im *images.Image, target string) (overlay images.Overlay, err error) {
	c, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	env, err := f.environment(target)
	if err != nil {
		return nil, err
	}
	tree, err := im.Tree(cmd.Context())
	if err != nil {
		return nil, err
	}
	err = f.withSandbox(func(render images.Renderer) error {
		overlay, err = im.Overlay(cmd.Context(), tree, render, c, env)
		return err
	})
	return overlay, err
}

// withSandbox calls do with a renderer that runs templates in a child process,
// so that a template which uses up its memory cannot end this program.
func (f *configFlags) withSandbox(do func(images.Renderer) error) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	sandbox := ejs.NewSandbox([]string{self, renderVerb}, ejs.Options{Workers: 1, Limits: ejs.Limits{Time: f.time}})
	return errors.Join(do(sandbox), sandbox.Close())
}

// withTree calls look with the tree of an image.
func withTree(ctx context.Context, im *images.Image, look func(images.Tree) error) error {
	tree, err := im.Tree(ctx)
	if err != nil {
		return err
	}
	return look(tree)
}

// roomFlag is a flag for a number of bytes that may be 0.
type roomFlag int64

// String writes the size for a person.
func (r *roomFlag) String() string { return bytesize.Exact(int64(*r)) }

// Type is what the help calls the value.
func (r *roomFlag) Type() string { return "size" }

// Set reads "200MB", or "0".
func (r *roomFlag) Set(text string) error {
	n, err := bytesize.Parse(text)
	*r = roomFlag(n)
	return err
}

// sizeFlag is a flag for a number of bytes that is more than 0.
type sizeFlag int64

// String writes the size for a person. Without a size it is empty, so that the
// help shows no default.
func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return bytesize.Exact(int64(*s))
}

// Type is what the help calls the value.
func (s *sizeFlag) Type() string { return "size" }

// Set reads "16GiB" or "500GB".
func (s *sizeFlag) Set(text string) error {
	n, err := bytesize.Parse(text)
	if err == nil && n <= 0 {
		err = errors.New("the size must be more than 0")
	}
	*s = sizeFlag(n)
	return err
}
