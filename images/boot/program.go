package boot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// The names of the entry points that are seen in an image whose manifest has
// none of their type.
const (
	SeenKernel = "kernel"
	SeenInit   = "init"
	SeenShell  = "shell"
)

// Where an image is looked through for programs that take control, the one
// that is taken first.
var (
	usualInits  = []string{"/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/init"}
	usualShells = []string{"/bin/bash", "/bin/sh"}
)

// FindEntryPoints lists an image's entry points, sorted by type and name:
// those of the manifest and, for each type that it has none of, what can be
// seen in the tree: a kernel, an init, a shell.
func EntryPoints(m *manifest.Manifest, t images.Tree) ([]manifest.EntryPoint, error) {
	var all []manifest.EntryPoint
	for _, e := range m.EntryPoints {
		all = append(all, e)
	}
	if !m.Has(manifest.KernelEntry) {
		k, err := NewestKernel(m, t, "")
		switch {
		case err == nil:
			all = append(all, manifest.EntryPoint{Name: SeenKernel, Type: manifest.KernelEntry, Kernel: k.Path, Initrd: k.Initrd, Default: true})
		case !errors.Is(err, ErrNoKernel):
			return nil, err
		}
	}
	all = append(all, seen(m, t, manifest.InitEntry)...)
	all = append(all, seen(m, t, manifest.ChrootEntry)...)
	slices.SortFunc(all, func(a, b manifest.EntryPoint) int {
		return cmp.Or(strings.Compare(typeOrder(a.Type), typeOrder(b.Type)), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// typeOrder sorts entry points by how early in a machine's life they are.
func typeOrder(t manifest.EntryType) string {
	switch t {
	case manifest.KernelEntry:
		return "1"
	case manifest.InitEntry:
		return "2"
	}
	return "3"
}

// seen is the program of a type that is found by looking, where the manifest
// has none.
func seen(m *manifest.Manifest, t images.Tree, kind manifest.EntryType) []manifest.EntryPoint {
	if m.Has(kind) {
		return nil
	}
	name, places := SeenInit, usualInits
	if kind == manifest.ChrootEntry {
		name, places = SeenShell, usualShells
	}
	for _, place := range places {
		if CheckProgram(t, place) == nil {
			return []manifest.EntryPoint{{Name: name, Type: kind, Path: place, Default: true}}
		}
	}
	return nil
}

// InitEntry is an init entry point, whose program is there and can be
// executed. The name "" stands for the default one; where the manifest has
// none of the type, one that can be seen in the tree is taken. It requires
// the manifest's architecture where it names none itself.
func Init(m *manifest.Manifest, t images.Tree, name string) (manifest.EntryPoint, error) {
	return programEntry(m, t, manifest.InitEntry, name, usualInits)
}

// ChrootEntry is a chroot entry point: see [manifest.Manifest.InitEntry].
func Chroot(m *manifest.Manifest, t images.Tree, name string) (manifest.EntryPoint, error) {
	return programEntry(m, t, manifest.ChrootEntry, name, usualShells)
}

func programEntry(m *manifest.Manifest, t images.Tree, kind manifest.EntryType, name string, places []string) (manifest.EntryPoint, error) {
	var all []manifest.EntryPoint
	for _, e := range m.EntryPoints {
		all = append(all, e)
	}
	all = append(all, seen(m, t, kind)...)
	if !m.Has(kind) && len(all) == len(m.EntryPoints) {
		return manifest.EntryPoint{}, fmt.Errorf("find an entry point of type %s by the %s: it has none, and there is no program at %s; describe one in \"entrypoints\"",
			kind, m.Label(), strings.Join(places, ", "))
	}
	e, err := m.Choose(all, kind, name)
	if err != nil {
		return manifest.EntryPoint{}, err
	}
	if err := CheckProgram(t, e.Path); err != nil {
		return manifest.EntryPoint{}, fmt.Errorf("entry point %s of the %s: no program to start: %w; correct its \"path\"", e.Name, m.Label(), err)
	}
	e.Requires.Arch = cmp.Or(e.Requires.Arch, m.Arch)
	return e, nil
}
