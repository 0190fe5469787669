package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/registry"
)

// registryFlags say how to speak to a registry.
type registryFlags struct{ insecure bool }

func (f *registryFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow plain HTTP to a registry on another host")
}

// options returns options with a progress bar. The caller calls end.
func (f *registryFlags) options(cmd *cobra.Command, what string) (opt registry.Options, end func()) {
	var (
		show *stdio.Progress
		last int64
	)
	opt = registry.Options{Insecure: f.insecure, Progress: func(done, total int64) {
		if show == nil { // the total is known only now
			show = stdio.NewProgress(cmd.ErrOrStderr(), what, total)
		}
		show.Add(done - last)
		last = done
	}}
	return opt, func() {
		if show != nil {
			show.End()
		}
	}
}

func pushCommand() *cobra.Command {
	var (
		f      imageFlags
		reg    registryFlags
		entry  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use: "push IMAGE NAME", Short: "Put an image into a container registry", Args: exactArgs(2),
		Long: `Put an image into a container registry as an ordinary container image. NAME is
HOST/NAME:TAG. "cloudlets import" gets the same cloudlet back, bit for bit, and
a container of it runs its chroot entry point. The manifest is also an
annotation, ` + registry.ManifestKey + `. The same image always gets the same
digest. Credentials are those of "docker login" and "podman login".`,
		Example: `  cloudlets push web registry.example.net/web:1
  cloudlets push web@v1.2 localhost:5000/web:1.2 --json
  podman run --rm registry.example.net/web:1`,
	}
	f.add(cmd)
	reg.add(cmd)
	cmd.Flags().StringVar(&entry, "entry", "", "the chroot entry `point` that a container runs, if there are several")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was pushed as JSON")
	cmd.RunE = f.onImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
		opt, end := reg.options(cmd, "pushing "+im.Name)
		pushed, err := registry.Push(cmd.Context(), im, args[0], entry, opt)
		end()
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), pushed)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "pushed %s for %s: %s\n", pushed.Tag, pushed.Platform, bytesize.Decimal(pushed.Size))
		_, err = fmt.Fprintln(cmd.OutOrStdout(), pushed.Name)
		return err
	})
	return cmd
}
