package images

import (
	"fmt"
	"path"
	"slices"
	"strings"
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
	// Cmdline is the kernel's command line.
	Cmdline string
	// Path is the program that gets control: init and chroot entry points.
	Path string
	// Args are the program's arguments.
	Args []string
	// Requires is what must be there for the entry point to work.
	Requires Requirements
	// Default marks the entry point that is taken where none is named.
	Default bool
}

// Requirements is what an entry point needs of the machine.
type Requirements struct {
	// Arch is the hardware ("amd64"); "" leaves it to the manifest's arch.
	Arch string
	// Other are requirements that the format does not know, as written.
	Other map[string]any
}

func entryPoints(r *report, at string, n *node) map[string]EntryPoint {
	members, ok := n.value.([]member)
	if !ok {
		r.add(n.offset, at, "is %s where an object is needed: entry point names, each with what it is", n.kind())
		return nil
	}
	all := map[string]EntryPoint{}
	defaults := map[EntryType]string{}
	for _, m := range members {
		e := entryPoint(r, pointer(at, m.name), m)
		if other, taken := defaults[e.Type]; taken && e.Default {
			r.add(m.offset, pointer(at, m.name), "is the second default of type %s; %q is the first", e.Type, other)
		}
		if e.Default {
			defaults[e.Type] = e.Name
		}
		all[e.Name] = e
	}
	return all
}

func entryPoint(r *report, at string, m member) EntryPoint {
	e := EntryPoint{Name: m.name}
	fields, ok := m.value.value.([]member)
	if !ok {
		r.add(m.value.offset, at, "is %s where an object is needed", m.value.kind())
		return e
	}
	before := len(r.problems)
	for _, f := range fields {
		e.set(r, pointer(at, f.name), f)
	}
	if len(r.problems) == before {
		e.check(r, at, m.value)
	}
	return e
}

func (e *EntryPoint) set(r *report, at string, f member) {
	switch f.name {
	case "type":
		e.Type = EntryType(text(r, at, f.value))
	case "kernel":
		e.Kernel = globPath(r, at, f.value)
	case "initrd":
		e.Initrd = globPath(r, at, f.value)
	case "cmdline":
		e.Cmdline = line(r, at, f.value)
	case "path":
		if s := text(r, at, f.value); s != "" {
			e.Path, _ = cleanPath(r, at, f.value, s)
		}
	case "args":
		texts(r, at, f.value, func(_ string, _ *node, s string) { e.Args = append(e.Args, s) })
	case "requires":
		e.Requires = requirements(r, at, f.value)
	case "default":
		is, ok := f.value.value.(bool)
		if !ok {
			r.add(f.value.offset, at, "is %s where true or false is needed", f.value.kind())
		}
		e.Default = is
	}
}

// check tells what is missing once all that is there is right.
func (e *EntryPoint) check(r *report, at string, n *node) {
	switch e.Type {
	case KernelEntry:
		if e.Kernel == "" {
			r.add(n.offset, at, "is a kernel entry point without \"kernel\": name its path, such as \"/boot/vmlinuz-*\"")
		}
	case InitEntry, ChrootEntry:
		if e.Path == "" {
			r.add(n.offset, at, "is an entry point of type %s without \"path\": name the program, such as \"/sbin/init\"", e.Type)
		}
	case "":
		r.add(n.offset, at, "has no \"type\": say \"kernel\", \"init\" or \"chroot\"")
	default:
		r.add(n.offset, at, "has the type %q: say \"kernel\", \"init\" or \"chroot\"", string(e.Type))
	}
}

// globPath reads a path whose components may be patterns.
func globPath(r *report, at string, n *node) string {
	s := text(r, at, n)
	if s == "" {
		return ""
	}
	if _, err := path.Match(s, ""); err != nil {
		r.add(n.offset, at, "is %q: a pattern with an unclosed bracket or a \\ at its end", s)
		return ""
	}
	p, _ := cleanPath(r, at, n, s)
	return p
}

// line reads a text of one line: a boot loader's script has a place for one.
func line(r *report, at string, n *node) string {
	s := text(r, at, n)
	if i := strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
		r.add(n.offset, at, "holds the control character %q: a command line is one line of text", s[i])
	}
	return s
}

func requirements(r *report, at string, n *node) Requirements {
	var req Requirements
	members, ok := n.value.([]member)
	if !ok {
		r.add(n.offset, at, "is %s where an object is needed", n.kind())
		return req
	}
	for _, m := range members {
		if m.name == "arch" {
			req.Arch = text(r, pointer(at, "arch"), m.value)
			continue
		}
		if req.Other == nil {
			req.Other = map[string]any{}
		}
		req.Other[m.name] = m.value.plain()
	}
	return req
}

// EntryPoint is the entry point of a type by its name; the name "" stands
// for the default one, or for the only one of that type.
func (m *Manifest) EntryPoint(t EntryType, name string) (EntryPoint, error) {
	var names []string
	var found []EntryPoint
	for _, e := range m.EntryPoints {
		if e.Type != t {
			continue
		}
		names = append(names, e.Name)
		if e.Name == name || name == "" && e.Default {
			return e, nil
		}
		found = append(found, e)
	}
	slices.Sort(names)
	switch {
	case name == "" && len(found) == 1:
		return found[0], nil
	case name == "" && len(found) > 1:
		return EntryPoint{}, fmt.Errorf("%s: several entry points of type %s and none is the default: name one of %s", m.file, t, strings.Join(names, ", "))
	case len(names) == 0:
		return EntryPoint{}, fmt.Errorf("%s: no entry point of type %s", m.file, t)
	}
	return EntryPoint{}, fmt.Errorf("%s: no entry point %q of type %s: there are %s", m.file, name, t, strings.Join(names, ", "))
}
