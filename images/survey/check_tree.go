package survey

import (
	"maps"
	"slices"
	"strconv"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/jsontext"
	"cloudlets/images/manifest"
)

// CheckTree compares the manifest with the image's files: each template has
// to be there and be a regular file, and each entry point has to lead to a
// kernel or a program. The error joins a [jsontext.Problem] for each that does not.
// That persistent paths are there is nobody's promise.
func CheckTree(m *manifest.Manifest, t images.Tree) error {
	r := &jsontext.Report{File: m.Label(), Text: m.JSON()}
	root, ok := jsontext.Parse(r)
	if !ok {
		return r.Err()
	}
	for i := range m.Templates {
		path, n := root.Find([]string{"templates", strconv.Itoa(i)})
		checkTemplate(m, r, t, path, n)
	}
	for _, name := range slices.Sorted(maps.Keys(m.EntryPoints)) {
		path, n := root.Find([]string{"entrypoints", name})
		if err := checkEntry(m, t, m.EntryPoints[name]); err != nil {
			r.Add(n.Offset, path, "%v", err)
		}
	}
	return r.Err()
}

func checkTemplate(m *manifest.Manifest, r *jsontext.Report, t images.Tree, path string, n *jsontext.Node) {
	written, _ := n.Value.(string)
	name := images.CleanPath(written)
	if m.IsVolatile(name) {
		return // no part of a copy, there or not
	}
	file, err := boot.RegularFile(t, name)
	switch {
	case err != nil:
		r.Add(n.Offset, path, "%v", err)
	case file == "":
		r.Add(n.Offset, path, "is %s, and there is no such file in the image: add it, or take it off the list", jsontext.Quoted(name))
	}
}

func checkEntry(m *manifest.Manifest, t images.Tree, e manifest.EntryPoint) error {
	var err error
	switch e.Type {
	case manifest.KernelEntry:
		_, err = boot.Kernels(m, t, e.Name)
	case manifest.InitEntry, manifest.ChrootEntry:
		err = boot.CheckProgram(t, e.Path)
	}
	return err
}
