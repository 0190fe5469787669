// Package review says what would go wrong with a machine before it boots: it does
// with its file and its image what the server would do when the machine asks, and
// keeps what was found.
//
// [Check] looks at one machine. A [Reviewer] looks at those of a site, again and
// again, whenever a file or an image has changed.
package review

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/images/jsontext"
	"cloudlets/images/lazyregexp"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/cloudinit"
	"cloudlets/provision/rendering"
	"cloudlets/provision/wire"
)

// Finding is something that is wrong with a machine, and where.
type Finding struct {
	jsontext.Problem
	// Warning says that the machine can be installed all the same.
	Warning bool `json:"warning,omitempty"`
}

// Error has the form that editors jump to, with "warning: " in that of a warning.
func (f Finding) Error() string {
	if !f.Warning {
		return f.Problem.Error()
	}
	warned := f.Problem
	warned.Path, warned.Reason = "", "warning: "+f.What()
	return warned.Error()
}

// Image is an image as machines would get it.
type Image struct {
	Manifest *manifest.Manifest
	// System is the image as [target.Look] sees it, without rendered command lines.
	System target.Image
	Tree   images.Tree
	// Suits says why the image is not for a machine; nil if that is not known.
	Suits func(*provision.Spec) error
}

// Machine is what is known of a machine.
type Machine struct {
	Spec provision.Spec
	// Locate returns where the machine's file says something. Without names it
	// returns the place of all that the file says.
	Locate func(names ...string) jsontext.Place
	// Facts has what was known when the machine was last seen.
	Facts rendering.Facts
	// CheckFile says why a file of the site cannot be read. If it is nil, the files that
	// the machine's file names are not looked at.
	CheckFile func(name string) error
}

// A machine that was never seen has neither a disk nor an address that is known. It is
// rendered with these in their place, so that a template can use them.
const assumedDisk = "sda"

var assumedAddress = netip.AddrFrom4([4]byte{192, 0, 2, 1}) // of RFC 5737, for examples

// Check makes the machine's copy of an image, and returns what is wrong with it. The
// error is that of ctx, or an [ejs.ErrStalled]: then it is not known what is wrong.
//
// A template may fail because of a disk or an address that Check had to assume. What it
// finds is then a warning.
func Check(ctx context.Context, render images.Renderer, image Image, m Machine) ([]Finding, error) {
	c := check{image: image, machine: m, render: render}
	c.args()
	if len(c.found) > 0 && !c.found[0].Warning {
		return c.found, ctx.Err() // templates would fail for the same reasons
	}
	if image.Suits != nil {
		c.tell(image.Suits(&m.Spec))
	}
	c.cmdlines(ctx)
	c.overlay(ctx)
	c.cloudInit()
	return c.found, cmp.Or(ctx.Err(), c.stalled)
}

// cloudInit looks whether the image reads what cloud-init is told, and whether that is
// there.
func (c *check) cloudInit() {
	told := c.machine.Spec.CloudInit
	if told == nil {
		return
	}
	if _, err := cloudinit.Files(c.image.Tree, cloudinit.Instance{}, cloudinit.Source{}); err != nil {
		c.found = append(c.found, Finding{c.machine.Locate("cloudInit").Problem("%v", err), true})
	}
	if c.machine.CheckFile == nil {
		return
	}
	for key, file := range cloudInitFiles(told) {
		c.tell(c.machine.CheckFile(file), "cloudInit", key)
	}
}

// cloudInitFiles are the files of the site with what cloud-init is told, by the keys that
// name them. A machine cannot be installed without them.
func cloudInitFiles(told *provision.CloudInit) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if told == nil || told.UserDataFile != "" && !yield("userDataFile", told.UserDataFile) {
			return
		}
		if told.VendorDataFile != "" {
			yield("vendorDataFile", told.VendorDataFile)
		}
	}
}

// CheckArgs is the part of [Check] that takes no time: whether the manifest allows
// the arguments in the machine's file.
func CheckArgs(m *manifest.Manifest, machine Machine) []Finding {
	c := check{image: Image{Manifest: m}, machine: machine}
	c.args()
	return c.found
}

// check is one check of a machine.
type check struct {
	image   Image
	machine Machine
	render  images.Renderer
	found   []Finding
	stalled error // an [ejs.ErrStalled]
}

// tell tells of an error, if there is one, at what the machine's file says under names.
// To find that place, the file is read.
func (c *check) tell(err error, names ...string) {
	if err != nil {
		c.found = append(c.found, Finding{Problem: c.machine.Locate(names...).Problem("%v", err)})
	}
}

// args checks the arguments. What is wrong comes before what is only unknown.
func (c *check) args() {
	locate := func(names ...string) jsontext.Place {
		return c.machine.Locate(append([]string{"config", "args"}, names...)...)
	}
	wrong, unknown := c.image.Manifest.CheckArgs(c.machine.Spec.Config.Args, locate)
	for _, p := range wrong.Tidy() {
		c.found = append(c.found, Finding{Problem: p})
	}
	for _, p := range unknown.Tidy() {
		c.found = append(c.found, Finding{p, true})
	}
}

// renderer renders with a disk, which is "" where the server has none yet.
func (c *check) renderer(chosen string) rendering.Renderer {
	facts := c.machine.Facts
	facts.Disk = chosen
	if !facts.Address.IsValid() {
		facts.Address = assumedAddress
	}
	spec := &c.machine.Spec
	env := rendering.Environment(spec, c.image.System.Kernels[0].Entry, facts)
	return rendering.Renderer{Spec: spec, Manifest: c.image.Manifest, Render: c.render, Env: env}
}

// cmdlines renders the command lines, as the script of a boot loader does, when no disk
// is chosen yet.
func (c *check) cmdlines(ctx context.Context) {
	system, err := c.renderer("").Image(ctx, c.image.System)
	if err != nil {
		var text strings.Builder
		for _, k := range c.image.System.Kernels {
			text.WriteString(k.Cmdline)
		}
		c.rendered(err, mentions(text.String(), "address") && c.assumesAddress())
		return
	}
	if c.machine.Spec.SecureBoot == provision.ByOwner {
		return // the owner signs when the machine claims
	}
	options := rendering.DiskOptions(&c.machine.Spec)
	options.ID = uuid.New()
	plan, err := target.NewPlan(system, options)
	if err == nil {
		err = plan.CheckMenu(c.image.Tree)
	}
	c.tell(err, "image")
}

// overlay renders the templates and the network.
func (c *check) overlay(ctx context.Context) {
	chosen := c.machine.Facts.Disk
	if chosen == "" {
		chosen = assumedDisk
	}
	render := c.renderer(chosen)
	if !c.machine.Spec.Silent {
		render.Env["running"] = c.machine.Facts.Server + wire.RunningPath(c.machine.Spec.MAC, strings.Repeat("0", 64)) // its token is made when the machine claims
	}
	_, warning, err := render.Overlay(ctx, c.image.Tree)
	if err != nil {
		c.rendered(err, c.assumed(err))
	}
	if warning != nil {
		c.found = append(c.found, Finding{c.machine.Locate("network").Problem("%v", warning), true})
	}
}

// rendered tells of an error of a template. assumed says that it may come from what was
// assumed.
func (c *check) rendered(err error, assumed bool) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	if errors.Is(err, ejs.ErrStalled) {
		c.stalled = err
		return
	}
	if assumed {
		err = fmt.Errorf("%w (with a disk and an address that are assumed, since the machine was not seen yet)", err)
	}
	c.found = append(c.found, Finding{c.machine.Locate("image").Problem("%v", err), assumed})
}

// assumed says whether the template that failed may have done so because of what was
// assumed.
func (c *check) assumed(err error) bool {
	failed, ok := errors.AsType[*ejs.Error](err)
	if !ok {
		return false
	}
	text, err := templateText(c.image.Tree, failed.Template)
	if err != nil {
		return false
	}
	return c.machine.Facts.Disk == "" && mentions(text, "disk") || c.assumesAddress() && mentions(text, "address")
}

func (c *check) assumesAddress() bool {
	return !c.machine.Spec.Address.IsValid() && !c.machine.Facts.Address.IsValid()
}

// maxTemplate is the largest template that can be rendered, in bytes.
const maxTemplate = 4 << 20

func templateText(tree images.Tree, name string) (string, error) {
	real, err := images.Resolve(tree, name)
	if err != nil {
		return "", err
	}
	text, err := images.ReadFile(tree, real, maxTemplate)
	return string(text), err
}

// wholeEnv finds env where a template does not name one of its members.
var wholeEnv = lazyregexp.New(`\benv\b\s*([^.\s]|$)`)

// mentions says whether a template may use a member of env.
func mentions(text, name string) bool {
	return strings.Contains(text, name) && strings.Contains(text, "env") || wholeEnv().MatchString(text)
}

// uses are the facts of a machine that the templates of an image may use.
type uses struct{ disk, address bool }

// usesOf looks for them. A template that cannot be read is one that uses nothing: the
// check says what is wrong with it.
func usesOf(image Image) (u uses) {
	look := func(text string) {
		u.disk = u.disk || mentions(text, "disk")
		u.address = u.address || mentions(text, "address")
	}
	for _, k := range image.System.Kernels {
		look(k.Cmdline)
	}
	for _, name := range image.Manifest.Templates {
		if text, err := templateText(image.Tree, name); err == nil {
			look(text)
		}
	}
	return u
}
