package images

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
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
func (m *Manifest) FindEntryPoints(t Tree) ([]EntryPoint, error) {
	var all []EntryPoint
	for _, e := range m.EntryPoints {
		all = append(all, e)
	}
	if !m.has(KernelEntry) {
		k, err := m.KernelEntry(t, "")
		switch {
		case err == nil:
			all = append(all, EntryPoint{Name: SeenKernel, Type: KernelEntry, Kernel: k.Path, Initrd: k.Initrd, Default: true})
		case !errors.Is(err, ErrNoKernel):
			return nil, err
		}
	}
	all = append(all, m.seen(t, InitEntry)...)
	all = append(all, m.seen(t, ChrootEntry)...)
	slices.SortFunc(all, func(a, b EntryPoint) int {
		return cmp.Or(strings.Compare(typeOrder(a.Type), typeOrder(b.Type)), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// typeOrder sorts entry points by how early in a machine's life they are.
func typeOrder(t EntryType) string {
	switch t {
	case KernelEntry:
		return "1"
	case InitEntry:
		return "2"
	}
	return "3"
}

// has says whether the manifest has entry points of a type.
func (m *Manifest) has(t EntryType) bool {
	for _, e := range m.EntryPoints {
		if e.Type == t {
			return true
		}
	}
	return false
}

// seen is the program of a type that is found by looking, where the manifest
// has none.
func (m *Manifest) seen(t Tree, kind EntryType) []EntryPoint {
	if m.has(kind) {
		return nil
	}
	name, places := SeenInit, usualInits
	if kind == ChrootEntry {
		name, places = SeenShell, usualShells
	}
	for _, place := range places {
		if programAt(t, place) == nil {
			return []EntryPoint{{Name: name, Type: kind, Path: place, Default: true}}
		}
	}
	return nil
}

// InitEntry is an init entry point, whose program is there and can be
// executed. The name "" stands for the default one; where the manifest has
// none of the type, one that can be seen in the tree is taken. It requires
// the manifest's architecture where it names none itself.
func (m *Manifest) InitEntry(t Tree, name string) (EntryPoint, error) {
	return m.programEntry(t, InitEntry, name, usualInits)
}

// ChrootEntry is a chroot entry point: see [Manifest.InitEntry].
func (m *Manifest) ChrootEntry(t Tree, name string) (EntryPoint, error) {
	return m.programEntry(t, ChrootEntry, name, usualShells)
}

func (m *Manifest) programEntry(t Tree, kind EntryType, name string, places []string) (EntryPoint, error) {
	var all []EntryPoint
	for _, e := range m.EntryPoints {
		all = append(all, e)
	}
	all = append(all, m.seen(t, kind)...)
	if !m.has(kind) && len(all) == len(m.EntryPoints) {
		return EntryPoint{}, fmt.Errorf("find an entry point of type %s by the %s: it has none, and there is no program at %s; describe one in \"entrypoints\"",
			kind, m.Label(), strings.Join(places, ", "))
	}
	e, err := m.choose(all, kind, name)
	if err != nil {
		return EntryPoint{}, err
	}
	if err := programAt(t, e.Path); err != nil {
		return EntryPoint{}, fmt.Errorf("entry point %s of the %s: no program to start: %w; correct its \"path\"", e.Name, m.Label(), err)
	}
	e.Requires.Arch = cmp.Or(e.Requires.Arch, m.Arch)
	return e, nil
}
