package images

import (
	"maps"
	"slices"
	"strconv"
)

// CheckTree compares the manifest with the image's files: each template has
// to be there and be a regular file, and each entry point has to lead to a
// kernel or a program. The error joins a [Problem] for each that does not.
// That persistent paths are there is nobody's promise.
func (m *Manifest) CheckTree(t Tree) error {
	r := &report{file: m.Label(), data: m.JSON()}
	root, ok := parseDocument(r)
	if !ok {
		return r.err()
	}
	for i := range m.Templates {
		path, n := root.find([]string{"templates", strconv.Itoa(i)})
		m.checkTemplate(r, t, path, n)
	}
	for _, name := range slices.Sorted(maps.Keys(m.EntryPoints)) {
		path, n := root.find([]string{"entrypoints", name})
		if err := m.checkEntry(t, m.EntryPoints[name]); err != nil {
			r.add(n.offset, path, "%v", err)
		}
	}
	return r.err()
}

func (m *Manifest) checkTemplate(r *report, t Tree, path string, n *node) {
	written, _ := n.value.(string)
	name := cleanPath(written)
	if m.IsVolatile(name) {
		return // no part of a copy, there or not
	}
	file, err := regularAt(t, name)
	switch {
	case err != nil:
		r.add(n.offset, path, "%v", err)
	case file == "":
		r.add(n.offset, path, "is %s, and there is no such file in the image: add it, or take it off the list", quoted(name))
	}
}

func (m *Manifest) checkEntry(t Tree, e EntryPoint) error {
	var err error
	switch e.Type {
	case KernelEntry:
		_, err = m.Kernels(t, e.Name)
	case InitEntry, ChrootEntry:
		err = programAt(t, e.Path)
	}
	return err
}
