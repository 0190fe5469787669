package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images"
	"cloudlets/images/atomicfile"
	"cloudlets/images/dirtree"
	"cloudlets/images/survey"
)

// initFlags are the flags of the verb init.
type initFlags struct {
	name                string
	templates           []string
	usual               bool
	dryRun, force, json bool
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Make a root filesystem a cloudlet", Args: exit.ExactArgs(1),
		Long: `Examine the root filesystem in a directory (its programs, kernels, init and
distribution), and write a manifest that suits it to ` + images.ManifestPath + `:
entry points, persistent and volatile paths. The reasons for each choice are
printed to standard error. The manifest is a start: change it as you like.

With --templates, also make templates of the files that differ from copy to
copy, as the image's distribution has them: the name of the machine (env.hostname)
in /etc/hostname, /etc/hosts and OpenRC's /etc/conf.d/hostname, and the SSH keys
(args.sshKeys, a list) in the authorized_keys of root, or of the user that the
distribution's cloud images have. Other lines stay. Files that are missing are
made, if something in the image reads them. A copy without a name and keys has
the files as they were. If nothing in the image makes SSH host keys, which copies
do not share, files that have each copy make its own are added.`,
		Example: "  cloudlets init web\n  cloudlets init web --templates && cloudlets disk web --env hostname=web1 --out web1.qcow2\n  cloudlets init web --template /etc/hostname --template /etc/motd\n  cloudlets init web --name web --dry-run > manifest.json",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.name, "name", "", "the image's `name`; by default the directory's")
	cmd.Flags().StringArrayVar(&f.templates, "template", nil, "make the file at this `path` in the image a template")
	cmd.Flags().BoolVar(&f.usual, "templates", false, "make the usual templates: hostname, hosts, SSH keys")
	cmd.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "print the manifest, and write nothing")
	cmd.Flags().BoolVarP(&f.force, "force", "f", false, "replace an existing manifest")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the manifest and the reasons as JSON")
	return cmd
}

func (f *initFlags) run(cmd *cobra.Command, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("make a cloudlet of %s: %w", dir, err)
	}
	defer root.Close()
	if err := f.mayWrite(root); err != nil {
		return fmt.Errorf("make a cloudlet of %s: %w", dir, err)
	}
	findings, err := f.survey(cmd, dir)
	if err != nil {
		return fmt.Errorf("make a cloudlet of %s: %w", dir, err)
	}
	text, err := findings.Manifest()
	if err != nil {
		return fmt.Errorf("make a cloudlet of %s: %w", dir, err)
	}
	if !f.dryRun {
		if f.usual {
			if err := writeTemplates(root, dir, findings.Templates); err != nil {
				return fmt.Errorf("write the templates of %s: %w", dir, err)
			}
		}
		if err := writeManifest(root, text); err != nil {
			return fmt.Errorf("write the manifest of %s: %w", dir, err)
		}
	}
	return f.tell(cmd, dir, text, findings)
}

// mayWrite refuses to replace a manifest without --force.
func (f *initFlags) mayWrite(root *os.Root) error {
	_, err := root.Lstat(inRoot(images.ManifestPath))
	switch {
	case f.dryRun || f.force || errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("it is one already: %s exists; --force replaces it, --dry-run prints the new one", images.ManifestPath)
}

func (f *initFlags) survey(cmd *cobra.Command, dir string) (survey.Findings, error) {
	tree, err := dirtree.Open(dir)
	if err != nil {
		return survey.Findings{}, err
	}
	findings, err := survey.Survey(cmd.Context(), tree, survey.Options{Templates: f.usual, Owners: os.Geteuid() == 0})
	if err != nil {
		return survey.Findings{}, err
	}
	if f.usual {
		if err := tellNetwork(tree, &findings); err != nil {
			return survey.Findings{}, err
		}
	}
	names, err := imageflags.Pointers(cmd.Context(), tree, everyPath)
	if err != nil {
		return survey.Findings{}, err
	}
	if names != "" {
		findings.Reasons = append(findings.Reasons, survey.Reason{What: "Git LFS pointers", Why: "are in the place of " + names + "; " + imageflags.PointerAdvice})
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return survey.Findings{}, err
	}
	for _, name := range f.templates {
		if _, err := images.Resolve(tree, name); err != nil {
			return survey.Findings{}, fmt.Errorf("template %s: %w; give its path in the image", name, err)
		}
		if name = path.Clean("/" + name); !slices.Contains(findings.Render, name) {
			findings.Render = append(findings.Render, name)
		}
	}
	switch base := filepath.Base(absolute); {
	case f.name != "":
		findings.Name = f.name
	case base != string(filepath.Separator):
		findings.Name = base
	}
	return findings, nil
}

// initialised is what init prints with --json.
type initialised struct {
	Manifest  json.RawMessage   `json:"manifest"`
	Reasons   []survey.Reason   `json:"reasons"`
	Templates map[string]string `json:"templates,omitempty"` // the text of each that init makes
}

// tell prints the reasons to standard error, and in a dry run the manifest to
// standard output.
func (f *initFlags) tell(cmd *cobra.Command, dir string, text []byte, found survey.Findings) error {
	if f.json {
		return printing.JSON(cmd.OutOrStdout(), initialised{text, found.Reasons, f.texts(found.Templates)})
	}
	words := tabwriter.NewWriter(cmd.ErrOrStderr(), 0, 0, 2, ' ', 0)
	for _, r := range found.Reasons {
		fmt.Fprintf(words, "%s\t%s\n", r.What, r.Why)
	}
	if err := words.Flush(); err != nil {
		return err
	}
	if f.dryRun {
		return printing.Raw(cmd.OutOrStdout(), text)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s is a cloudlet now; its manifest is %s\n", dir, filepath.Join(dir, images.ManifestPath))
	return nil
}

// writeManifest replaces the manifest at once or not at all. It never writes
// outside of the directory, whatever symbolic links are in it. It first removes
// what an interrupted run left, which would become a file of the image.
func writeManifest(root *os.Root, text []byte) error {
	name := inRoot(images.ManifestPath)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := atomicfile.RemoveParts(root, filepath.Dir(name)); err != nil {
		return err
	}
	return atomicfile.WriteIn(root, name, 0o644, atomicfile.Text(text))
}

// inRoot makes a path for [os.Root] of an image's absolute path.
func inRoot(path string) string { return strings.TrimPrefix(path, "/") }

// everyPath selects all files.
func everyPath(string) bool { return true }
