package boot

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// The names of the entry points that are found by looking, if the manifest has
// none of their type.
const (
	SeenKernel = "kernel"
	SeenInit   = "init"
	SeenShell  = "shell"
)

// DefaultInit is the program that a kernel starts if its command line names
// none.
const DefaultInit = "/sbin/init"

// ErrNoProgram is returned if the manifest has no entry point of a type, and
// the image has no program in one of the usual places.
var ErrNoProgram = errors.New("it has none")

// The usual places of programs that take control. The first that is there is
// taken.
var (
	usualInits  = []string{DefaultInit, "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/init", "/bin/init", "/init", nixProfile + "/init"}
	usualShells = []string{"/bin/bash", "/bin/sh", nixProfile + "/sw/bin/bash"}
)

// EntryPoints lists an image's entry points, sorted by type and name: those of
// the manifest and, for each type that it has none of, the kernel, the init or
// the shell that is found in a usual place.
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

// seen is the program of a type that is found in a usual place, if the
// manifest has none of the type.
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

// Init is an init entry point, whose program is there and can be executed. The
// name "" stands for the default one. If the manifest has none of the type, a
// program in a usual place is taken, and the error is [ErrNoProgram] if there
// is none. The entry point requires the manifest's architecture if it names
// none itself.
func Init(m *manifest.Manifest, t images.Tree, name string) (manifest.EntryPoint, error) {
	return programEntry(m, t, manifest.InitEntry, name, usualInits)
}

// IsSystemd reports whether a first program is systemd, or the script by which
// NixOS prepares its store before it starts systemd.
func IsSystemd(t images.Tree, program string) bool {
	file, err := images.Resolve(t, program)
	return err == nil && (path.Base(file) == "systemd" || strings.HasPrefix(file, nixStore) && path.Base(file) == "init")
}

// Chroot is a chroot entry point: see [Init].
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
		return manifest.EntryPoint{}, fmt.Errorf("find an entry point of type %s by the %s: %w, and there is no program at %s: install an %[1]s program in the image, or describe one in \"entrypoints\"",
			kind, m.Label(), ErrNoProgram, strings.Join(places, ", "))
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
