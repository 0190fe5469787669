// Package manifest is an image's metadata, /.cloudlet/manifest, and the
// configuration that a user gives one copy of the image. A manifest says what
// arguments the image takes, which of its files are templates, persistent or
// volatile, and how it gets control. A mistake in either is told with its place.
package manifest

import (
	"encoding/json"
	"path"
	"slices"
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
	// that the image leaves out. See [Manifest.IsVolatile].
	Volatile []string
	// EntryPoints are the ways to give the image control, by name.
	EntryPoints map[string]EntryPoint

	raw      json.RawMessage
	file     string // the manifest's name in errors
	schema   *schema.Schema
	volatile []pattern.Prefix
}

// Parse reads a manifest. The name says whose it is, and stands in errors,
// which are [jsontext.Problem]s, joined: all that are found, not just the
// first. Names that the format does not know are kept: see [Manifest.JSON].
func Parse(name string, data []byte) (*Manifest, error) {
	file := "manifest of " + name
	root, problems := jsontext.Parse(file, data)
	if problems != nil {
		return nil, problems.Err()
	}
	m := &Manifest{raw: slices.Clone(data), file: file}
	m.schema, _ = schema.New(map[string]any{})
	problems = manifestStructure().Check(root)
	for _, field := range root.Members() {
		m.set(field.Name, field.Value, &problems)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// set takes over one member of the manifest. The structure has told already of
// values that are of the wrong kind: those are passed over.
func (m *Manifest) set(name string, n *jsontext.Node, problems *jsontext.Problems) {
	switch name {
	case "name":
		m.Name = text(n)
	case "description":
		m.Description = text(n)
	case "author":
		m.Author = text(n)
	case "arch":
		m.Arch = text(n)
	case "args":
		m.setArgs(n, problems)
	case "templates":
		m.Templates = paths(n)
	case "persistent":
		m.Persistent = paths(n)
	case "volatile":
		if !problems.Within(n.Place()) { // the structure bounds how much there is to compile
			m.setVolatile(n, problems)
		}
	case "entrypoints":
		m.EntryPoints = readEntryPoints(n, problems)
	}
}

// JSON is the manifest as it was written, unknown names included.
func (m *Manifest) JSON() json.RawMessage { return slices.Clone(m.raw) }

// MarshalJSON writes the manifest as it was read.
func (m *Manifest) MarshalJSON() ([]byte, error) { return m.JSON(), nil }

// Label is the name of the manifest in errors: "manifest of debian-12".
func (m *Manifest) Label() string { return m.file }

// title is the name of the image in errors about its configuration.
func (m *Manifest) title() string { return strings.TrimPrefix(m.file, "manifest of ") }

func (m *Manifest) setArgs(n *jsontext.Node, problems *jsontext.Problems) {
	args, ok := n.Plain().(map[string]any)
	if !ok || problems.Within(n.Place()) {
		return
	}
	s, err := schema.New(args)
	if err != nil {
		*problems = append(*problems, schema.Explain(n, err)...)
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
	s, _ := n.Text()
	return s
}

// texts are the strings of an array.
func texts(n *jsontext.Node) (all []string) {
	for _, element := range n.Elements() {
		if s, ok := element.Text(); ok {
			all = append(all, s)
		}
	}
	return all
}

// paths reads an array of paths, each made absolute within the image.
func paths(n *jsontext.Node) (all []string) {
	for _, s := range texts(n) {
		all = append(all, inside(s))
	}
	return all
}
