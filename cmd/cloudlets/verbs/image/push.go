package image

import (
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/registry"
)

func pushCommand() *cobra.Command {
	var (
		f      imageflags.Image
		reg    imageflags.Registry
		entry  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use: "push IMAGE NAME", Short: "Put an image into a container registry", Args: exit.ExactArgs(2),
		Long: `Put an image into a container registry as an ordinary container image. NAME is
HOST/NAME:TAG. "cloudlets import" gets the same cloudlet back, bit for bit, and
a container of it runs its chroot entry point. The manifest is also an
annotation, ` + registry.ManifestKey + `. The same image always gets the same
digest. Credentials are those of "docker login" and "podman login".`,
		Example: `  cloudlets push web registry.example.net/web:1
  cloudlets push web@v1.2 localhost:5000/web:1.2 --json
  podman run --rm registry.example.net/web:1`,
	}
	f.Add(cmd)
	reg.Add(cmd)
	cmd.Flags().StringVar(&entry, "entry", "", "the chroot entry `point` that a container runs, if there are several")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what was pushed as JSON")
	cmd.RunE = f.OnImage(func(cmd *cobra.Command, im *images.Image, args []string) error {
		opt, end := reg.Options(cmd, "pushing "+im.Name)
		pushed, err := registry.Push(cmd.Context(), im, args[0], entry, opt)
		end()
		if err != nil {
			return err
		}
		if asJSON {
			return printing.JSON(cmd.OutOrStdout(), pushed)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "pushed %s for %s: %s\n", pushed.Tag, pushed.Platform, bytesize.Decimal(pushed.Size))
		_, err = fmt.Fprintln(cmd.OutOrStdout(), pushed.Name)
		return err
	})
	return cmd
}
