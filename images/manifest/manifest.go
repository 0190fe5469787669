// Package manifest reads an image's manifest and all that it says: entry
// points, classes of files, the schema of its configuration.
package manifest

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/images/pattern"
	"cloudlets/images/schema"
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
	schema   *schema.Schema
	volatile []pattern.Prefix
}

// ParseManifest reads a manifest. The name says whose it is, and stands in
// errors, which are [jsontext.Problem]s, joined: all that are found, not just the
// first. Names that the format does not know are kept; see [Manifest.JSON].
func Parse(name string, data []byte) (*Manifest, error) {
	r := &jsontext.Report{File: "manifest of " + name, Text: data}
	root, ok := jsontext.Parse(r)
	if !ok {
		return nil, r.Err()
	}
	manifestStructure().Check(r, root)
	m := &Manifest{raw: slices.Clone(data), file: r.File}
	m.schema, _ = schema.New(map[string]any{})
	members, _ := root.Value.([]jsontext.Member)
	for _, field := range members {
		m.set(r, field)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// set takes over one member of the manifest's text. Here and below, what the
// schema refuses has been told, and is passed over in silence.
func (m *Manifest) set(r *jsontext.Report, f jsontext.Member) {
	at := jsontext.Pointer("", f.Name)
	switch f.Name {
	case "name":
		m.Name = text(f.Value)
	case "description":
		m.Description = text(f.Value)
	case "author":
		m.Author = text(f.Value)
	case "arch":
		m.Arch = text(f.Value)
	case "args":
		m.setArgs(r, at, f.Value)
	case "templates":
		m.Templates = paths(f.Value)
	case "persistent":
		m.Persistent = paths(f.Value)
	case "volatile":
		if !r.Told(at) { // its bounds are what keeps that short
			m.setVolatile(r, at, f.Value)
		}
	case "entrypoints":
		m.EntryPoints = entryPoints(r, at, f.Value)
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

func (m *Manifest) setArgs(r *jsontext.Report, at string, n *jsontext.Node) {
	args, ok := n.Plain().(map[string]any)
	if !ok || r.Told(at) {
		return
	}
	s, err := schema.New(args)
	if err != nil {
		schema.Tell(r, at, n, err)
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
func text(n *jsontext.Node) string {
	s, _ := n.Value.(string)
	return s
}

// texts hands each string of an array to use.
func texts(_ *jsontext.Report, at string, n *jsontext.Node, use func(at string, n *jsontext.Node, s string)) {
	list, _ := n.Value.([]*jsontext.Node)
	for i, item := range list {
		if s, ok := item.Value.(string); ok {
			use(jsontext.Pointer(at, strconv.Itoa(i)), item, s)
		}
	}
}

// paths reads an array of paths, each made absolute within the image.
func paths(n *jsontext.Node) []string {
	var all []string
	for _, s := range strs(n) {
		all = append(all, inside(s))
	}
	return all
}

// strs reads an array of strings.
func strs(n *jsontext.Node) []string {
	var all []string
	texts(nil, "", n, func(_ string, _ *jsontext.Node, s string) { all = append(all, s) })
	return all
}
