package manifest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
)

// EntryType says what gives control to an image.
type EntryType string

// The kinds of entry point of the format's specification.
const (
	KernelEntry EntryType = "kernel" // control comes from a boot loader
	InitEntry   EntryType = "init"   // control comes from a kernel
	ChrootEntry EntryType = "chroot" // control comes from a shell
)

// EntryPoint is one way to give an image control.
type EntryPoint struct {
	Name string
	Type EntryType
	// Kernel and Initrd are paths in the image, or patterns of which the
	// newest version counts ("/boot/vmlinuz-*"). Kernel entry points only;
	// Initrd may be "".
	Kernel, Initrd string
	// Cmdline is the kernel's command line, a template: see [images.Image.Cmdline].
	Cmdline string
	// Path is the program that gets control, links not followed: init and
	// chroot entry points.
	Path string
	// Args are the program's arguments, less its own name.
	Args []string
	// Env are variables of the program's environment, by name.
	Env map[string]string
	// Requires is what must be there for the entry point to work.
	Requires Requirements
	// Default marks the entry point that is taken where none is named.
	Default bool
}

// Requirements is what an entry point needs of the machine and of the image.
// [EntryPoint.Check] looks for all of it but Run.
type Requirements struct {
	// Arch is the hardware ("amd64"); "" leaves it to the manifest's arch.
	Arch string
	// Kernel bounds the version of the running kernel (">=2.6.32, <7"); ""
	// takes any.
	Kernel string
	// Commands are programs that the image must hold: paths, or names that
	// are looked for in PATH.
	Commands []string
	// Run are commands for the image's /bin/sh, executed upon entry. One
	// that fails stops the entry.
	Run []string
	// Other are requirements that the format does not know, as written.
	Other map[string]any
}

// readEntryPoints reads the entry points of a manifest.
func readEntryPoints(n *jsontext.Node, problems *jsontext.Problems) map[string]EntryPoint {
	all := map[string]EntryPoint{}
	defaults := map[EntryType]string{}
	for _, m := range n.Members() {
		e := readEntryPoint(m, problems)
		if first, taken := defaults[e.Type]; taken && e.Default {
			problems.Add(m.Place(), "is the second default of type %s; %q is the first", e.Type, first)
		}
		if e.Default {
			defaults[e.Type] = e.Name
		}
		all[e.Name] = e
	}
	return all
}

func readEntryPoint(m jsontext.Member, problems *jsontext.Problems) EntryPoint {
	e := EntryPoint{Name: m.Name}
	for _, f := range m.Value.Members() {
		e.set(f.Name, f.Value, problems)
	}
	return e
}

func (e *EntryPoint) set(name string, n *jsontext.Node, problems *jsontext.Problems) {
	switch name {
	case "type":
		e.Type = EntryType(text(n))
	case "kernel":
		e.Kernel = globPath(n, problems)
	case "initrd":
		e.Initrd = globPath(n, problems)
	case "cmdline":
		e.Cmdline = text(n)
	case "path":
		e.Path = inside(text(n))
	case "args":
		e.Args = texts(n)
	case "env":
		e.Env = environment(n)
	case "requires":
		e.Requires = requirements(n)
	case "default":
		e.Default, _ = n.Bool()
	}
}

// globPath reads a path whose components may be patterns.
func globPath(n *jsontext.Node, problems *jsontext.Problems) string {
	s := text(n)
	if _, err := path.Match(s, ""); err != nil {
		problems.Add(n.Place(), "is %s: a pattern with an unclosed bracket or a \\ at its end", jsontext.Quoted(s))
	}
	return inside(s)
}

func environment(n *jsontext.Node) map[string]string {
	env := make(map[string]string, len(n.Members()))
	for _, m := range n.Members() {
		env[m.Name] = text(m.Value)
	}
	return env
}

func requirements(n *jsontext.Node) Requirements {
	var req Requirements
	for _, m := range n.Members() {
		switch m.Name {
		case "arch":
			req.Arch = text(m.Value)
		case "kernel":
			req.Kernel = text(m.Value)
		case "commands":
			req.Commands = texts(m.Value)
		case "run":
			req.Run = texts(m.Value)
		default:
			if req.Other == nil {
				req.Other = map[string]any{}
			}
			req.Other[m.Name] = m.Value.Plain()
		}
	}
	return req
}

// Has says whether the manifest has entry points of a type.
func (m *Manifest) Has(t EntryType) bool {
	for _, e := range m.EntryPoints {
		if e.Type == t {
			return true
		}
	}
	return false
}

// EntryPoint is the entry point of a type by its name, as the manifest has
// it; the name "" stands for the default one, or for the only one of that
// type. See [Manifest.InitEntry] and its kin for those that can be seen in
// an image whose manifest has none.
func (m *Manifest) EntryPoint(t EntryType, name string) (EntryPoint, error) {
	return m.Choose(slices.Collect(maps.Values(m.EntryPoints)), t, name)
}

// Choose picks the entry point of a type by its name.
func (m *Manifest) Choose(all []EntryPoint, t EntryType, name string) (EntryPoint, error) {
	var names []string
	var found []EntryPoint
	for _, e := range all {
		if e.Type != t {
			continue
		}
		if e.Name == name || name == "" && e.Default {
			return e, nil
		}
		names, found = append(names, e.Name), append(found, e)
	}
	slices.Sort(names)
	switch {
	case name == "" && len(found) == 1:
		return found[0], nil
	case name == "" && len(found) > 1:
		return EntryPoint{}, fmt.Errorf("%s: several entry points of type %s and none is the default: name one of %s", m.file, t, strings.Join(names, ", "))
	case len(names) == 0:
		return EntryPoint{}, fmt.Errorf("%s: no entry point of type %s: describe one in \"entrypoints\"", m.file, t)
	}
	return EntryPoint{}, fmt.Errorf("%s: no entry point %q of type %s: there are %s", m.file, name, t, strings.Join(names, ", "))
}
