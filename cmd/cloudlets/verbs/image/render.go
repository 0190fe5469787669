package image

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
)

func renderTemplatesCommand() *cobra.Command {
	var (
		f            imageflags.Image
		config       imageflags.Config
		asDiff, JSON bool
	)
	cmd := &cobra.Command{
		Use: "render IMAGE [PATH…] --config C", Short: "Print an image's templates as a configuration renders them", Args: exit.Args(cobra.MinimumNArgs(1)),
		Long: `Render an image's templates with a configuration and print the results, or with
--diff how they differ from the templates. If you give exactly one PATH, it is
printed without a heading.`,
		Example: `  cloudlets render debian-12.tar /etc/hostname --config '{}' --env hostname=node1
  cloudlets render /srv/web --config @web1.json --diff`,
	}
	f.Add(cmd)
	config.Add(cmd)
	cmd.Flags().BoolVar(&asDiff, "diff", false, "print how the results differ from the templates")
	cmd.Flags().BoolVar(&JSON, "json", false, "print a JSON array with path, mode and content")
	cmd.MarkFlagsMutuallyExclusive("diff", "json")
	cmd.RunE = f.OnImage(func(cmd *cobra.Command, im *images.Image, paths []string) error {
		files, err := renderAll(cmd, im, &config, paths)
		if err != nil {
			return err
		}
		switch out := cmd.OutOrStdout(); {
		case JSON:
			return printing.JSON(out, asTexts(files))
		case asDiff:
			return imageflags.WithTree(cmd.Context(), im, func(t images.Tree) error { return printDiffs(out, t, files) })
		default:
			return printFiles(out, files, len(paths) == 1)
		}
	})
	return cmd
}

// renderAll renders the templates at paths, or all if paths is empty.
func renderAll(cmd *cobra.Command, im *images.Image, f *imageflags.Config, paths []string) (files []images.File, err error) {
	c, err := f.Load(cmd)
	if err != nil {
		return nil, err
	}
	env, err := f.Environment("render")
	if err != nil {
		return nil, err
	}
	err = imageflags.WithTree(cmd.Context(), im, func(tree images.Tree) error {
		return f.WithSandbox(func(render images.Renderer) error {
			files, err = im.Render(cmd.Context(), tree, render, paths, c, env)
			return err
		})
	})
	return files, err
}

// printFiles prints contents, each under its path unless it is the only one.
func printFiles(w io.Writer, files []images.File, bare bool) error {
	out := bufio.NewWriter(w)
	for i, f := range files {
		if !bare {
			fmt.Fprintf(out, "%s==> %s <==\n", strings.Repeat("\n", min(i, 1)), f.Path)
		}
		out.Write(f.Content) // the error stays, and Flush returns it
	}
	return out.Flush()
}

// rendered is a rendered template in JSON: as text, or in base64 if it is not
// UTF-8.
type rendered struct {
	Path    string `json:"path"`
	Mode    string `json:"mode"`
	Content string `json:"content,omitempty"`
	Base64  string `json:"base64,omitempty"`
}

func asTexts(files []images.File) []rendered {
	texts := []rendered{}
	for _, f := range files {
		r := rendered{Path: f.Path, Mode: fmt.Sprintf("%04o", f.Mode)}
		if utf8.Valid(f.Content) {
			r.Content = string(f.Content)
		} else {
			r.Base64 = base64.StdEncoding.EncodeToString(f.Content)
		}
		texts = append(texts, r)
	}
	return texts
}

// printDiffs prints how rendered files differ from their templates.
func printDiffs(w io.Writer, t images.Tree, files []images.File) error {
	for _, f := range files {
		before, err := images.ReadFile(t, f.Path, imageflags.MaxText)
		if err != nil {
			return err
		}
		diff := udiff.Unified("template"+f.Path, "rendered"+f.Path, string(before), string(f.Content))
		if _, err := io.WriteString(w, diff); err != nil {
			return fmt.Errorf("print the difference of %s: %w", f.Path, err)
		}
	}
	return nil
}
