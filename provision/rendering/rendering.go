// Package rendering makes of an image what one machine gets of it: the command
// lines of its kernels, its templates, and the files of its network. The server
// renders so when a machine boots and claims its plan; a review does it before.
package rendering

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/netconfig"
)

// Renderer renders an image for one machine.
type Renderer struct {
	Spec     *provision.Spec
	Manifest *manifest.Manifest
	Render   images.Renderer
	// Env is the configuration environment, see [Environment]. Templates also see the
	// vars and tags of Spec, which are not in it: who keeps Env keeps no secrets of the
	// machine's file.
	Env map[string]any
}

// env is what templates see as "env".
func (r Renderer) env() map[string]any {
	env := maps.Clone(r.Env)
	if env == nil {
		env = make(map[string]any)
	}
	env["vars"], env["tags"] = map[string]any{}, []string{}
	if r.Spec.Vars != nil {
		env["vars"] = r.Spec.Vars
	}
	if r.Spec.Tags != nil {
		env["tags"] = r.Spec.Tags
	}
	return env
}

// Facts are what the file of a machine does not say of it, and templates see.
type Facts struct {
	// Server is the URL of this server, without a slash at its end.
	Server string
	// Disk is the kernel's name for the disk; "" while it is not chosen.
	Disk string
	// Address is the one that DHCP gave to the machine. The address in its file
	// counts more. It is invalid if neither is known.
	Address netip.Addr
	// Files is the URL of the templates, rendered, if the image's kernel is booted as it
	// is; otherwise "".
	Files string
	// Hardware is what was found in the machine, by the names of attributes.
	Hardware map[string]any
}

// Environment is the configuration environment: what templates see as "env". Entry
// is the image's entry point.
func Environment(spec *provision.Spec, entry string, f Facts) map[string]any {
	env := map[string]any{
		"mac": string(spec.MAC), "hostname": Hostname(spec), "target": "disk", "server": f.Server, "entrypoint": entry,
	}
	env["facts"] = map[string]any{}
	if f.Hardware != nil {
		env["facts"] = f.Hardware
	}
	if f.Files != "" {
		env["target"], env["files"] = "kernel", f.Files
	}
	if f.Disk != "" {
		env["disk"] = f.Disk
	}
	if spec.Network != nil {
		env["network"] = plainNetwork(spec.Network)
	}
	switch {
	case spec.Address.IsValid():
		env["address"] = spec.Address.String()
	case f.Address.IsValid():
		env["address"] = f.Address.String()
	}
	return env
}

// Hostname is the machine's name, or one made of its address.
func Hostname(spec *provision.Spec) string {
	if spec.Hostname != "" {
		return spec.Hostname
	}
	return "machine-" + strings.ReplaceAll(string(spec.MAC), ":", "")
}

// plainNetwork is a network as templates see it. It is a map, so that its members have
// the same order on every server that makes the overlay.
func plainNetwork(n *provision.Network) (plain map[string]any) {
	text, err := json.Marshal(n)
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		panic(err) // these types can be marshalled
	}
	return plain
}

// image is the image under the name that the site has for it.
func (r Renderer) image() *images.Image {
	return &images.Image{Name: r.Spec.Image, Manifest: r.Manifest}
}

// Image is an image as it is for the machine: the command line of an entry point is
// a template. An image without a name is called as the site has it.
func (r Renderer) Image(ctx context.Context, image target.Image) (target.Image, error) {
	render := func(ctx context.Context, template string) (string, error) {
		return r.image().Cmdline(ctx, r.Render, template, r.Spec.Config, r.env())
	}
	if r.Manifest.Name == "" {
		image.Title = r.Spec.Image
	}
	kernels, taken, err := target.System{Cmdline: render}.Rendered(ctx, image.Kernels)
	if err != nil {
		return image, err
	}
	image.Kernels = kernels
	image.Notices = append(slices.Clone(image.Notices), taken...)
	return image, nil
}

// Cmdline is the command line of a kernel that is booted as it is, with the words that
// the machine's file adds.
func (r Renderer) Cmdline(ctx context.Context, kernel boot.Kernel) (string, error) {
	line, err := r.image().Cmdline(ctx, r.Render, kernel.Cmdline, r.Spec.Config, r.env())
	return boot.JoinWords(line, r.Spec.Cmdline), err
}

// Templates renders the image's templates and nothing else: files that a kernel that is
// booted as it is fetches.
func (r Renderer) Templates(ctx context.Context, tree images.Tree, names ...string) ([]images.File, error) {
	return r.image().Render(ctx, tree, r.Render, names, r.Spec.Config, r.env())
}

// Overlay renders the machine's own files: the image's templates, and with those what
// configures its network. Warning says why its network will not be as its file says.
func (r Renderer) Overlay(ctx context.Context, tree images.Tree) (overlay images.Overlay, warning, err error) {
	if overlay, err = r.image().Overlay(ctx, tree, r.Render, r.Spec.Config, r.env()); err != nil {
		return nil, nil, err
	}
	return withNetwork(overlay, r.Spec, tree)
}

// withNetwork adds the files that configure the machine's network to its overlay,
// except those that the image's own templates write. An image that has no program for
// them gets none: it may configure its network by itself.
func withNetwork(overlay images.Overlay, spec *provision.Spec, tree images.Tree) (_ images.Overlay, warning, err error) {
	if spec.Network == nil {
		return overlay, nil, nil
	}
	facts, err := netconfig.Look(tree)
	if err != nil {
		return nil, nil, err
	}
	renderer, warning := facts.Choose(spec.Network)
	if warning != nil {
		return overlay, warning, nil
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(overlay, func(f images.File) bool { return f.Path == path })
	}
	files, err := netconfig.Place(tree, netconfig.Render(spec.Network, renderer, facts), taken)
	return append(overlay, files...), nil, err
}
