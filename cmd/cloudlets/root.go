package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/sandbox"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/cmd/cloudlets/verbs/enrol"
	"cloudlets/cmd/cloudlets/verbs/fleet"
	"cloudlets/cmd/cloudlets/verbs/image"
	"cloudlets/cmd/cloudlets/verbs/media"
	"cloudlets/cmd/cloudlets/verbs/server"
	"cloudlets/images/jsontext"
)

// defaultSocket is where the daemon listens for the command line.
const defaultSocket = "/run/cloudlets/cloudlets.sock"

// socketVariable names the daemon's socket in the environment.
const socketVariable = "CLOUDLETS_SOCKET"

// run is the whole program, except for what it does as process 1 (processOne).
// It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := helpOfNoVerb(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if ended, ok := errors.AsType[exit.Command](err); ok {
		return int(ended)
	}
	coded := exit.Error{Code: exit.Failed}
	errors.As(err, &coded)
	switch {
	case err == nil:
		return exit.OK
	case ctx.Err() != nil && coded.Code != exit.Interrupted: // an error with that code says what was left behind
		fmt.Fprintln(stderr, "cloudlets: interrupted")
		return exit.Interrupted
	}
	fmt.Fprintf(stderr, "cloudlets: %s\n", stdio.Clean(err.Error()))
	return coded.Code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "cloudlets",
		Short: "Boot machines from the network and install cloudlets on them",
		Long: `cloudlets boots bare machines from the network into the kernel of an image,
installs the image on their disks with each machine's own configuration, and
shows what every machine did and why. It also makes, examines and configures
images and turns them into disks; those verbs need no server.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, 130 interrupted.`,
		Version:       version,
		Args:          exit.Args(noSuchVerb),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		PersistentPreRunE:          func(cmd *cobra.Command, _ []string) error { return checkFlags(cmd) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit.With(fmt.Errorf("%w%s; see `%s --help`", err, nearestFlag(cmd, err), cmd.CommandPath()), exit.Usage)
	})
	socket := root.PersistentFlags().String("socket", envOr(socketVariable, defaultSocket), "the daemon's socket (or $"+socketVariable+")")
	root.AddGroup(&cobra.Group{ID: "server", Title: "The server:"}, &cobra.Group{ID: "machines", Title: "Machines:"}, &cobra.Group{ID: "images", Title: "Images:"})
	root.AddCommand(inGroup("server", server.Commands(socket, version))...)
	root.AddCommand(inGroup("machines", fleet.Commands(socket), enrol.Commands(socket))...)
	root.AddCommand(inGroup("images", image.Commands(), media.Commands())...)
	root.AddCommand(sandbox.Command())
	return root
}

// inGroup puts the verbs of parts into a group of the help.
func inGroup(id string, parts ...[]*cobra.Command) []*cobra.Command {
	all := slices.Concat(parts...)
	for _, cmd := range all {
		cmd.GroupID = id
	}
	return all
}

// checkFlags returns an error with the exit code of wrong usage if required
// flags are missing or flags exclude each other.
func checkFlags(cmd *cobra.Command) error {
	if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
		return exit.With(fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath()), exit.Usage)
	}
	return nil
}

// helpOfNoVerb refuses to help with a verb that there is not. cobra would show the help
// of the program, with exit code 0.
func helpOfNoVerb(root *cobra.Command, args []string) error {
	if !slices.Contains(args, "--help") && !slices.Contains(args, "-h") {
		return nil
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err != nil || cmd != root || len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
		return nil
	}
	return exit.Args(noSuchVerb)(root, rest[:1])
}

// nearestFlag suggests a flag in place of one that there is not.
func nearestFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return jsontext.DidYouMean(unknown.GetSpecifiedName(), names)
}

// noSuchVerb refuses an unknown verb and suggests similar ones.
func noSuchVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no verb %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(text)
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
