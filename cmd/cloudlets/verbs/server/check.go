package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/cmd/cloudlets/sandbox"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/images/jsontext"
	"cloudlets/images/source"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/rendering"
	"cloudlets/provision/review"
	"cloudlets/provision/site"
)

// checkServer is the URL that templates see as env.server, since no server is there.
const checkServer = "http://192.0.2.254"

func checkCommand() *cobra.Command {
	var machines []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check [SITE]", Short: "Check a site and render every machine, without a server", Args: exit.Args(cobra.MaximumNArgs(1)),
		Long: `Check reads a site's files and opens the images that its machines name. It
checks each machine's arguments by the schema of its image, and renders the
image's templates and kernel command lines for it. It prints each problem as
FILE:LINE:COLUMN: WHAT, and exits with 1 if there is any. A warning, such as an
argument that the manifest does not describe, does not change the exit code.

SITE is a folder with machines/ and images/; without it, it is the present one.
Check needs no server and no root, and writes nothing to the site, so it can run
before a change is merged.

A disk or an address that only a booted machine has is assumed, and a template
that fails with these is a warning. Which drivers an image has, and whether boot
loaders are there, is for "cloudlets doctor" to say.`,
		Example: "  cloudlets check /srv/site\n  cloudlets check --machine node1 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			found, err := checkSite(cmd, dir, machines)
			if err != nil {
				return err
			}
			if asJSON {
				err = printing.JSON(cmd.OutOrStdout(), found)
			} else {
				found.print(printing.Text(cmd))
			}
			return errors.Join(err, found.verdict())
		},
	}
	cmd.Flags().StringSliceVar(&machines, "machine", nil, "check only these `machines`, by MAC or hostname, and what the site's files say of them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// checked is what a check of a site found.
type checked struct {
	Site     string           `json:"site"`
	Machines int              `json:"machines"`
	Images   int              `json:"images"`
	Problems []review.Finding `json:"problems"`
}

func (c *checked) print(w io.Writer) {
	for _, f := range c.Problems {
		fmt.Fprintln(w, f)
	}
	fmt.Fprintf(w, "machines checked: %d, images: %d\n", c.Machines, c.Images)
}

func (c *checked) verdict() error {
	bad := 0
	for _, f := range c.Problems {
		if !f.Warning {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("check %s: %d problems; mend them in the files that are named", c.Site, bad)
	}
	return nil
}

// checkSite checks a site, or of it only the machines that are named.
func checkSite(cmd *cobra.Command, dir string, names []string) (*checked, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("check %s: there is no such folder; name the one with machines/ and images/", dir)
	}
	opened, err := site.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	specs, problems, err := selected(opened, names)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	sandbox := ejs.NewSandbox([]string{self, sandbox.Verb}, ejs.Options{})
	c := siteCheck{site: opened, render: sandbox, progress: progressOf(cmd, len(specs)), found: make([][]review.Finding, len(specs))}
	byImage := map[site.ImageUse][]int{}
	for i, spec := range specs {
		if _, there := opened.ImagePath(spec.Image); there {
			use := site.ImageUse{Image: spec.Image, EntryPoint: spec.EntryPoint}
			byImage[use] = append(byImage[use], i)
		} // the site tells of those that are not there
	}
	for _, use := range slices.SortedFunc(maps.Keys(byImage), compareUses) {
		at := byImage[use]
		if err = c.image(cmd.Context(), use, specs, at); err != nil {
			break
		}
	}
	c.progress.end()
	if err = errors.Join(err, sandbox.Close()); err != nil {
		return nil, err
	}
	all := &checked{Site: opened.Dir(), Machines: len(specs), Images: len(byImage), Problems: []review.Finding{}}
	for _, p := range problems {
		all.Problems = append(all.Problems, review.Finding{Problem: p})
	}
	for _, found := range c.found {
		all.Problems = append(all.Problems, found...)
	}
	slices.SortStableFunc(all.Problems, func(a, b review.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return all, nil
}

func compareUses(a, b site.ImageUse) int {
	return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.EntryPoint, b.EntryPoint))
}

// selected returns the machines to check, and what the site's files have of mistakes.
func selected(s *site.Site, names []string) ([]provision.Spec, jsontext.Problems, error) {
	if len(names) == 0 {
		return s.Specs(), s.Problems(), nil
	}
	var specs []provision.Spec
	var problems jsontext.Problems
	for _, name := range names {
		macs := s.ByName(name)
		if mac, err := provision.ParseMAC(name); err == nil {
			macs = []provision.MAC{s.Machine(mac)}
		}
		if len(macs) != 1 {
			return nil, nil, fmt.Errorf("check machine %q: %d machines of the site have this name; want the MAC address of one, or its hostname", name, len(macs))
		}
		problems = append(problems, s.ProblemsOf(macs[0])...)
		spec, there := s.Spec(macs[0])
		if there {
			specs = append(specs, spec)
		} else if len(s.ProblemsOf(macs[0])) == 0 {
			return nil, nil, fmt.Errorf("check machine %s: the site has no file %s", name, macs[0].File())
		}
	}
	return specs, problems.Tidy(), nil
}

// siteCheck checks the machines of a site.
type siteCheck struct {
	site     *site.Site
	render   images.Renderer
	progress *progress
	found    [][]review.Finding // by the index of the machine
}

// image checks the machines that use an image, whose indexes are at. A problem with the
// image is one of each of them.
func (c *siteCheck) image(ctx context.Context, use site.ImageUse, specs []provision.Spec, at []int) error {
	place, _ := c.site.ImagePath(use.Image)
	im, err := source.Open(ctx, place, source.Options{})
	if err == nil {
		err = c.opened(ctx, im, use, specs, at)
		err = errors.Join(err, im.Close())
	}
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	first := specs[at[0]].MAC
	problem := jsontext.About(path.Join("images", filepath.Base(place)), "machines that use it: %d, first %s; none can boot it: %v", len(at), specs[at[0]].File(), err)
	if use.EntryPoint != "" {
		problem = c.site.Locate(first)("entrypoint").Problem("machines that say so: %d; the image %s cannot be booted by the entry point %q: %v", len(at), use.Image, use.EntryPoint, err)
	}
	c.found[at[0]] = append(c.found[at[0]], review.Finding{Problem: problem})
	return nil
}

// opened looks at an image, and checks its machines, several at once.
func (c *siteCheck) opened(ctx context.Context, im *images.Image, use site.ImageUse, specs []provision.Spec, at []int) error {
	whole, err := im.Tree(ctx)
	if err != nil {
		return err
	}
	tree, _, err := target.CopyOf(im.Manifest, whole)
	if err != nil {
		return err
	}
	system, err := target.Look(ctx, target.System{Manifest: im.Manifest, Source: tree, Tree: tree}, use.EntryPoint, false)
	if err == nil {
		err = errors.Join(system.Kernels[0].CheckVersion(), system.CheckInit())
	}
	if err != nil {
		return err
	}
	image := review.Image{Manifest: im.Manifest, System: system, Tree: tree}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(4)
	for _, i := range at {
		tasks.Go(func() (err error) {
			defer c.progress.step()
			machine := review.Machine{Spec: specs[i], Locate: c.site.Locate(specs[i].MAC), Facts: rendering.Facts{Server: checkServer}, CheckFile: c.site.CheckFile}
			c.found[i], err = review.Check(ctx, c.render, image, machine)
			return err
		})
	}
	return tasks.Wait()
}

// progress shows on a terminal how many machines were checked.
type progress struct {
	out   io.Writer // nil shows nothing
	total int
	done  atomic.Int64
}

func progressOf(cmd *cobra.Command, total int) *progress {
	if err := cmd.ErrOrStderr(); stdio.IsTerminal(err) {
		return &progress{out: err, total: total}
	}
	return &progress{}
}

func (p *progress) step() {
	if n := p.done.Add(1); p.out != nil && (n%16 == 0 || int(n) == p.total) {
		fmt.Fprintf(p.out, "\rchecked %d of %d machines", n, p.total)
	}
}

func (p *progress) end() {
	if p.out != nil && p.done.Load() > 0 {
		fmt.Fprintln(p.out)
	}
}
