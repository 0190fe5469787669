package images

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Manifest is an image's metadata. It never changes once it is parsed.
type Manifest struct {
	// Name, Description and Author are for people; any may be "".
	Name, Description, Author string
	// Arch is the hardware that the image's programs run on, as the manifest
	// writes it ("i386", "amd64"); "" says nothing.
	Arch string
	// Templates are the paths of the files that are rendered for each copy.
	Templates []string
	// Persistent are paths that survive a new version of the image, each
	// with all that is beneath it.
	Persistent []string
	// Volatile are regular expressions in JavaScript syntax for the files
	// that are no part of the image, matched from the start of the path. See
	// [Manifest.IsVolatile].
	Volatile []string
	// EntryPoints are the ways to give the image control, by name.
	EntryPoints map[string]EntryPoint

	raw      json.RawMessage
	file     string // the manifest's name in errors
	schema   *schema
	volatile []pattern
}

// ParseManifest reads a manifest. The name says whose it is, and stands in
// errors, which are [Problem]s, joined: all that are found, not just the
// first. Names that the format does not know are kept; see [Manifest.JSON].
func ParseManifest(name string, data []byte) (*Manifest, error) {
	r := &report{file: "manifest of " + name, data: data}
	root, ok := parseDocument(r)
	if !ok {
		return nil, r.err()
	}
	members, ok := root.value.([]member)
	if !ok {
		r.add(root.offset, "", "is %s where an object is needed", root.kind())
		return nil, r.err()
	}
	m := &Manifest{raw: slices.Clone(data), file: r.file, schema: &schema{doc: map[string]any{}}}
	m.schema, _ = newSchema(map[string]any{})
	for _, field := range members {
		m.set(r, field)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// set takes over one member of the manifest's text.
func (m *Manifest) set(r *report, f member) {
	at := pointer("", f.name)
	switch f.name {
	case "name":
		m.Name = label(f.value)
	case "description":
		m.Description = label(f.value)
	case "author":
		m.Author = label(f.value)
	case "arch":
		m.Arch = text(r, at, f.value)
	case "args":
		m.setArgs(r, at, f.value)
	case "templates":
		m.Templates = paths(r, at, f.value)
	case "persistent":
		m.Persistent = paths(r, at, f.value)
	case "volatile":
		m.setVolatile(r, at, f.value)
	case "entrypoints":
		m.EntryPoints = entryPoints(r, at, f.value)
	}
}

// JSON is the manifest as it was written, unknown names included.
func (m *Manifest) JSON() json.RawMessage { return slices.Clone(m.raw) }

// MarshalJSON writes the manifest as it was read.
func (m *Manifest) MarshalJSON() ([]byte, error) { return m.JSON(), nil }

// title is how errors about the image's configuration call the image.
func (m *Manifest) title() string { return strings.TrimPrefix(m.file, "manifest of ") }

func (m *Manifest) setArgs(r *report, at string, n *node) {
	args, ok := n.plain().(map[string]any)
	if !ok {
		r.add(n.offset, at, "is %s where an object is needed", n.kind())
		return
	}
	s, err := newSchema(args)
	if err != nil {
		tellSchema(r, at, n, err)
		return
	}
	m.schema = s
}

// IsPersistent says whether a path is persistent, or beneath one that is.
func (m *Manifest) IsPersistent(p string) bool {
	p = inside(p)
	for _, kept := range m.Persistent {
		if p == kept || kept == "/" || strings.HasPrefix(p, kept+"/") {
			return true
		}
	}
	return false
}

// inside makes a path absolute within the image and clean.
func inside(p string) string { return path.Clean("/" + p) }

// label is a text for people: what is not a string does not matter.
func label(n *node) string {
	s, _ := n.value.(string)
	return s
}

func text(r *report, at string, n *node) string {
	s, ok := n.value.(string)
	if !ok {
		r.add(n.offset, at, "is %s where a string is needed", n.kind())
	}
	return s
}

// texts reads an array of strings and hands each to use.
func texts(r *report, at string, n *node, use func(at string, n *node, s string)) {
	list, ok := n.value.([]*node)
	if !ok {
		r.add(n.offset, at, "is %s where an array of strings is needed", n.kind())
		return
	}
	for i, item := range list {
		at := pointer(at, strconv.Itoa(i))
		if s, ok := item.value.(string); ok {
			use(at, item, s)
		} else {
			r.add(item.offset, at, "is %s where a string is needed", item.kind())
		}
	}
}

// paths reads an array of paths, each made absolute within the image.
func paths(r *report, at string, n *node) []string {
	var all []string
	texts(r, at, n, func(at string, n *node, s string) {
		if p, ok := cleanPath(r, at, n, s); ok {
			all = append(all, p)
		}
	})
	return all
}

func cleanPath(r *report, at string, n *node, s string) (string, bool) {
	switch {
	case s == "":
		r.add(n.offset, at, "is an empty path")
	case strings.ContainsRune(s, 0):
		r.add(n.offset, at, "holds a zero byte: no path does")
	case slices.Contains(strings.Split(s, "/"), ".."):
		r.add(n.offset, at, "is %q: a path in a manifest has no \"..\"; write it from the image's root", s)
	default:
		return inside(s), true
	}
	return "", false
}
