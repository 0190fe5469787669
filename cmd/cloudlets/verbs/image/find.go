package image

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/manifest"
)

// classFlags select files of an image by their classes.
type classFlags struct {
	only []string
	rest []string // the arguments that are not classes
}

func (f *classFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.only, "only", []string{"templates", "persistent", "other"},
		"the `classes` of files: "+strings.Join(classNames(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(classNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.Long += `

--only takes classes, separated by commas or spaces. A file can be in several
classes. If you name "other", every file is taken except those in a class that
you do not name; if not, only the files in a class that you name. The default
takes every file that is not volatile.`
}

func classNames() []string {
	return []string{string(manifest.Templates), string(manifest.Persistent), string(manifest.Volatile), string(manifest.Other)}
}

// args allows n arguments and, if --only is given, the names of classes as
// well: the tool of 2010 took "find IMAGE --only templates volatile".
func (f *classFlags) args(n int) cobra.PositionalArgs {
	return exit.Args(func(cmd *cobra.Command, args []string) error {
		surplus := 0
		if cmd.Flags().Changed("only") {
			surplus = len(args) - n
		}
		for _, arg := range slices.Backward(args) {
			if surplus > 0 && slices.Contains(classNames(), arg) {
				f.only, surplus = append(f.only, arg), surplus-1
			} else {
				f.rest = append(f.rest, arg)
			}
		}
		slices.Reverse(f.rest)
		for _, name := range f.only {
			if !slices.Contains(classNames(), name) {
				return fmt.Errorf("--only %s: unknown class; the classes are %s", name, strings.Join(classNames(), ", "))
			}
		}
		return cobra.ExactArgs(n)(cmd, f.rest)
	})
}

// instead runs a verb with the arguments that are not classes.
func (f *classFlags) instead(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error { return run(cmd, f.rest) }
}

// selector returns a function that says whether a path is selected.
func (f *classFlags) selector(m *manifest.Manifest) func(string) bool {
	var classes []manifest.Class
	for _, name := range f.only {
		classes = append(classes, manifest.Class(name))
	}
	return m.Selector(classes)
}

func findCommand() *cobra.Command {
	var (
		f              imageflags.Image
		classes        classFlags
		asJSON, zeroed bool
	)
	cmd := &cobra.Command{
		Use: "find IMAGE [--only CLASS,…]", Short: "List an image's files, sorted",
		Long:    "List the paths of an image's files, sorted by their bytes, without the root itself.",
		Example: "  cloudlets find debian-12.tar --only templates\n  cloudlets find /srv/web --only persistent,volatile --print0 | xargs -0 ls -d",
	}
	f.Add(cmd)
	classes.add(cmd)
	cmd.Args = classes.args(1)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of strings")
	cmd.Flags().BoolVarP(&zeroed, "print0", "0", false, "end each path with a zero byte, for names that contain line ends")
	cmd.MarkFlagsMutuallyExclusive("json", "print0")
	cmd.RunE = classes.instead(f.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		return find(cmd, im, classes.selector(im.Manifest), asJSON, zeroed)
	}))
	return cmd
}

func find(cmd *cobra.Command, im *images.Image, selected func(string) bool, asJSON, zeroed bool) error {
	to := cmd.OutOrStdout()
	if stdio.IsTerminal(to) && !zeroed {
		to = &stdio.CleanWriter{W: to} // a pipe gets the names as they are
	}
	out := bufio.NewWriterSize(to, 1<<16)
	end := byte('\n')
	if zeroed {
		end = 0
	}
	paths := []string{}
	err := images.Paths(cmd.Context(), im.Source, func(p string) error {
		if p == "/" || !selected(p) {
			return nil
		}
		if asJSON {
			paths = append(paths, p)
			return checkText(p)
		}
		out.WriteString(p) // the error stays, and Flush returns it
		return out.WriteByte(end)
	})
	if err != nil {
		return err
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(paths); err != nil {
			return err
		}
	}
	return out.Flush()
}

// checkText refuses a path that JSON cannot hold.
func checkText(p string) error {
	if utf8.ValidString(p) {
		return nil
	}
	return fmt.Errorf("print %q as JSON: JSON can hold only names in UTF-8; use --print0", p)
}
