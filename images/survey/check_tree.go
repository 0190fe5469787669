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
		return // a volatile file does not belong to a copy, so it need not exist
	}
	file, err := boot.RegularFile(t, name)
	switch {
	case err != nil:
		r.Add(n.Offset, path, "%v", err)
	case file == "":
		r.Add(n.Offset, path, "is %s, but the image has no such file: add it, or remove it from the list", jsontext.Quoted(name))
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
