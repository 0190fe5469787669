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
	root, problems := jsontext.Parse(m.Label(), m.JSON())
	if problems != nil {
		return problems.Err()
	}
	for i := range m.Templates {
		checkTemplate(m, t, root.Child("templates").Child(strconv.Itoa(i)), &problems)
	}
	for _, name := range slices.Sorted(maps.Keys(m.EntryPoints)) {
		if err := checkEntry(m, t, m.EntryPoints[name]); err != nil {
			problems.Add(root.Locate("entrypoints", name), "%v", err)
		}
	}
	return problems.Err()
}

func checkTemplate(m *manifest.Manifest, t images.Tree, n *jsontext.Node, problems *jsontext.Problems) {
	written, _ := n.Text()
	name := images.CleanPath(written)
	if m.IsVolatile(name) {
		return // no part of a copy, there or not
	}
	file, err := boot.RegularFile(t, name)
	switch {
	case err != nil:
		problems.Add(n.Place(), "%v", err)
	case file == "":
		problems.Add(n.Place(), "is %s, and there is no such file in the image: add it, or take it off the list", jsontext.Quoted(name))
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
