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

// CheckTree compares the manifest with the image's files: each template must be
// a regular file, and each entry point must lead to a kernel or a program. The
// error joins one [jsontext.Problem] for each that does not. Persistent paths
// need not exist, so they are not checked.
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
		return // a volatile file does not belong to a copy, so it need not exist
	}
	file, err := boot.RegularFile(t, name)
	switch {
	case err != nil:
		problems.Add(n.Place(), "%v", err)
	case file == "":
		problems.Add(n.Place(), "is %s, but the image has no such file: add it, or remove it from the list", jsontext.Quoted(name))
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
