package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/chroot"
	"cloudlets/images/manifest"
	"cloudlets/images/rootfs"
)

func chrootChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: chrootVerb, Hidden: true, Args: exit.Args(cobra.ArbitraryArgs),
		RunE: func(_ *cobra.Command, args []string) error { return chroot.Child(args) },
	}
}

// runE returns the function of the verb.
func (f *chrootFlags) runE() func(*cobra.Command, []string) error { return f.image.OnImage(f.run) }

// run runs the command in the image. The exit code is the command's.
func (f *chrootFlags) run(cmd *cobra.Command, im *images.Image, command []string) (err error) {
	spec, err := f.spec(cmd, im, command)
	if err != nil {
		return err
	}
	dir, remove, err := f.directory(cmd.Context(), im)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	spec.Dir = dir
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGWINCH, unix.SIGCONT)
	defer signal.Stop(signals)
	spec.Signals = signals
	// An interrupt goes to the command. It does not end the verb.
	code, err := chroot.Run(context.WithoutCancel(cmd.Context()), spec)
	if err != nil {
		return exit.With(err, max(code, exit.Failed))
	}
	if code != 0 {
		return exit.Command(code)
	}
	return nil
}

// spec checks the entry point's requirements and returns what to run.
func (f *chrootFlags) spec(cmd *cobra.Command, im *images.Image, command []string) (chroot.Spec, error) {
	env, err := environmentOf(f.env)
	if err != nil {
		return chroot.Spec{}, err
	}
	entry, err := f.entryPoint(cmd.Context(), im, len(command) > 0)
	if err != nil {
		return chroot.Spec{}, err
	}
	if len(command) == 0 {
		command = append([]string{entry.Path}, entry.Args...)
	}
	return chroot.Spec{
		Hostname: im.Name, Write: f.write, Command: command, Env: chroot.Environment(entry.Env, env), Checks: entry.Requires.Run,
		Stdin: fileOf(cmd.InOrStdin()), Stdout: fileOf(cmd.OutOrStdout()), Stderr: fileOf(cmd.ErrOrStderr()),
		Child: []string{"cloudlets", chrootVerb}, Log: printing.TextLogger(cmd.ErrOrStderr(), false),
	}, nil
}

// entryPoint picks the entry point and checks its requirements. A command of the
// user's own needs no entry point, unless --entry names one.
func (f *chrootFlags) entryPoint(ctx context.Context, im *images.Image, own bool) (entry manifest.EntryPoint, err error) {
	err = imageflags.WithTree(ctx, im, func(tree images.Tree) error {
		entry, err = boot.Chroot(im.Manifest, tree, f.entry)
		if err != nil && own && f.entry == "" {
			entry, err = manifest.EntryPoint{Type: manifest.ChrootEntry, Requires: manifest.Requirements{Arch: im.Manifest.Arch}}, nil
		}
		if err != nil {
			return err
		}
		host, err := chroot.Host(tree)
		if err != nil {
			return err
		}
		return boot.Check(entry, tree, host)
	})
	return entry, err
}

// directory returns the image as a directory: the image itself, or a copy. The
// caller calls remove, which deletes the copy.
func (f *chrootFlags) directory(ctx context.Context, im *images.Image) (dir string, remove func() error, err error) {
	if isRootDirectory(im.Path) {
		return im.Path, func() error { return nil }, nil
	}
	if f.write {
		return "", nil, exit.With(fmt.Errorf("--write: only a directory can be changed; `cloudlets import %s DIR` makes one", im.Path), exit.Usage)
	}
	temp, err := os.MkdirTemp("", "cloudlets-chroot-*")
	if err != nil {
		return "", nil, fmt.Errorf("unpack %s: %w", im.Path, err)
	}
	remove = func() error { return os.RemoveAll(temp) }
	dir = filepath.Join(temp, "root")
	if _, err := rootfs.Write(ctx, dir, im.Source, rootfs.Options{NoSync: true}); err != nil {
		return "", nil, errors.Join(fmt.Errorf("unpack %s: %w", im.Path, err), remove())
	}
	return dir, remove, nil
}

// environmentOf reads settings of the form name=value.
func environmentOf(words []string) (map[string]string, error) {
	env := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, exit.With(fmt.Errorf("--env %s: write name=value, such as --env LANG=C.UTF-8", word), exit.Usage)
		}
		env[name] = value
	}
	return env, nil
}

// fileOf returns a stream as a file, or nil if it is not a file.
func fileOf(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}
