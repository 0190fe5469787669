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
	volatile []prefixPattern
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
	manifestStructure().check(r, root)
	m := &Manifest{raw: slices.Clone(data), file: r.file}
	m.schema, _ = newSchema(map[string]any{})
	members, _ := root.value.([]member)
	for _, field := range members {
		m.set(r, field)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// set takes over one member of the manifest's text. Here and below, what the
// schema refuses has been told, and is passed over in silence.
func (m *Manifest) set(r *report, f member) {
	at := pointer("", f.name)
	switch f.name {
	case "name":
		m.Name = text(f.value)
	case "description":
		m.Description = text(f.value)
	case "author":
		m.Author = text(f.value)
	case "arch":
		m.Arch = text(f.value)
	case "args":
		m.setArgs(r, at, f.value)
	case "templates":
		m.Templates = paths(f.value)
	case "persistent":
		m.Persistent = paths(f.value)
	case "volatile":
		if !r.told(at) { // its bounds are what keeps that short
			m.setVolatile(r, at, f.value)
		}
	case "entrypoints":
		m.EntryPoints = entryPoints(r, at, f.value)
	}
}

// JSON is the manifest as it was written, unknown names included.
func (m *Manifest) JSON() json.RawMessage { return slices.Clone(m.raw) }

// MarshalJSON writes the manifest as it was read.
func (m *Manifest) MarshalJSON() ([]byte, error) { return m.JSON(), nil }

// Label is how errors call the manifest: "manifest of debian-12".
func (m *Manifest) Label() string { return m.file }

// title is how errors about the image's configuration call the image.
func (m *Manifest) title() string { return strings.TrimPrefix(m.file, "manifest of ") }

func (m *Manifest) setArgs(r *report, at string, n *node) {
	args, ok := n.plain().(map[string]any)
	if !ok || r.told(at) {
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

// text is a string, or "" for anything else.
func text(n *node) string {
	s, _ := n.value.(string)
	return s
}

// texts hands each string of an array to use.
func texts(_ *report, at string, n *node, use func(at string, n *node, s string)) {
	list, _ := n.value.([]*node)
	for i, item := range list {
		if s, ok := item.value.(string); ok {
			use(pointer(at, strconv.Itoa(i)), item, s)
		}
	}
}

// paths reads an array of paths, each made absolute within the image.
func paths(n *node) []string {
	var all []string
	for _, s := range strs(n) {
		all = append(all, inside(s))
	}
	return all
}

// strs reads an array of strings.
func strs(n *node) []string {
	var all []string
	texts(nil, "", n, func(_ string, _ *node, s string) { all = append(all, s) })
	return all
}
