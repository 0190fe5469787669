package imageflags

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/sandbox"
	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/images/manifest"
)

// Config are the flags that say how an image is configured.
type Config struct {
	Config string   // JSON text, "@" and a file's name, or "-" for standard input; "" if there is none
	Env    []string // settings of the form name=value
	time   time.Duration
	// text is what config says once that was read, and name is its name in errors.
	text []byte
	name string
}

// Add adds the flags to a verb.
func (f *Config) Add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Config, "config", "", "the configuration: JSON text, @`file`, or - for standard input")
	cmd.Flags().StringArrayVar(&f.Env, "env", nil, "`name=value` that templates see as env.name, such as hostname=web1")
	cmd.Flags().DurationVar(&f.time, "template-time", ejs.DefaultTime, "stop a template that takes longer than this, unless the computer is too busy for it")
}

// Given says whether the command line has a configuration.
func (f *Config) Given() bool { return f.Config != "" || len(f.Env) > 0 }

// Take has text count in the place of a configuration of the command line. The name is that
// of the text in errors.
func (f *Config) Take(name string, text []byte) { f.name, f.text = name, text }

// Read returns the configuration's text, and a name for it in errors.
func (f *Config) Read(cmd *cobra.Command) (name string, text []byte, err error) {
	if f.text == nil {
		f.name, f.text, err = f.readOnce(cmd)
	}
	return f.name, f.text, err
}

func (f *Config) readOnce(cmd *cobra.Command) (name string, text []byte, err error) {
	if f.Config == "" {
		return "config", []byte("{}"), nil
	}
	name, text, err = ReadInput(cmd, f.Config)
	if err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	return "config in " + name, text, nil
}

// Load reads the configuration.
func (f *Config) Load(cmd *cobra.Command) (manifest.Config, error) {
	name, text, err := f.Read(cmd)
	if err != nil {
		return manifest.Config{}, err
	}
	return manifest.ParseConfig(name, text)
}

// Environment returns what templates see as env.
func (f *Config) Environment(target string) (map[string]any, error) {
	env := map[string]any{"target": target}
	for _, word := range f.Env {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, exit.With(fmt.Errorf("--env %s: write name=value, such as --env hostname=web1", word), exit.Usage)
		}
		env[name] = value
	}
	return env, nil
}

// Overlay renders the files that differ in one copy of an image.
func (f *Config) Overlay(cmd *cobra.Command, im *images.Image, target string) (overlay images.Overlay, err error) {
	c, err := f.Load(cmd)
	if err != nil {
		return nil, err
	}
	env, err := f.Environment(target)
	if err != nil {
		return nil, err
	}
	tree, err := im.Tree(cmd.Context())
	if err != nil {
		return nil, err
	}
	err = f.WithSandbox(func(render images.Renderer) error {
		overlay, err = im.Overlay(cmd.Context(), tree, render, c, env)
		return err
	})
	return overlay, err
}

// WithSandbox calls do with a renderer that runs templates in a child process,
// so that a template which uses up its memory cannot end this program.
func (f *Config) WithSandbox(do func(images.Renderer) error) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	sandbox := ejs.NewSandbox([]string{self, sandbox.Verb}, ejs.Options{Workers: 1, Limits: ejs.Limits{Time: f.time}})
	return errors.Join(do(sandbox), sandbox.Close())
}

// Applied reads the configuration that was applied to an image. The error is [fs.ErrNotExist]
// if it was not configured.
func Applied(ctx context.Context, im *images.Image) ([]byte, error) {
	tree, err := im.Tree(ctx)
	if err != nil {
		return nil, err
	}
	return images.ReadFile(tree, images.AppliedConfigPath, MaxText)
}
