// Package boot says what starts an image, for disks and for the network alike:
// its kernels by their own version, their RAM disks and modules, the program
// that a kernel hands over to, and command lines. It also says what an entry
// point requires of a machine.
package boot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// ErrNoKernel is returned for an image without a kernel.
var ErrNoKernel = errors.New("no kernel")

// Kernel is one kernel of an image, ready to be handed to a boot loader.
type Kernel struct {
	// Entry is the name of the entry point; "" if the manifest has none and
	// the kernel was found in a usual place.
	Entry string
	// Version is the kernel's own, as `uname -r` says it under the kernel:
	// "6.1.0-31-amd64". It is "" if neither the kernel, nor its name, nor the
	// modules tell it.
	Version string
	// Path and Initrd are paths in the image with no links left to follow.
	// Initrd is "" if the kernel has none.
	Path, Initrd string
	// Modules is the directory of the kernel's modules; "" if it has none.
	Modules string
	// Cmdline is the entry point's, and may be a template. For a kernel that was
	// found in a usual place it has the options of its boot loader entry.
	Cmdline string
	// Arch is the architecture that the kernel is for, found in the file;
	// "" if the file does not tell.
	Arch string
	// Requires is the architecture that the entry point asks for, else the
	// one that the manifest names; "" if neither does.
	Requires string
}

// NewestKernel is the first of [Kernels].
func NewestKernel(m *manifest.Manifest, t images.Tree, entry string) (Kernel, error) {
	all, err := Kernels(m, t, entry)
	if err != nil {
		return Kernel{}, err
	}
	return all[0], nil
}

// Kernels lists the kernels of a kernel entry point: those with an initrd
// first, then newer ones first, and rescue kernels last. There is at least one,
// or an error. The name "" stands for the default entry point. If the manifest
// has no kernel entry points, the usual places of distributions are searched,
// and command lines come from the image's boot loader entries. If there is no
// kernel, the error is [ErrNoKernel] and lists the places.
func Kernels(m *manifest.Manifest, t images.Tree, entry string) ([]Kernel, error) {
	if !m.Has(manifest.KernelEntry) && (entry == "" || entry == SeenKernel) {
		return seenKernels(m, t)
	}
	e, err := m.EntryPoint(manifest.KernelEntry, entry)
	if err != nil {
		return nil, err
	}
	files, err := filesAt(t, []string{e.Kernel})
	if err != nil {
		return nil, fmt.Errorf("find a kernel by the %s: %w", m.Label(), err)
	}
	if len(files) == 0 {
		return nil, noKernel(m, []string{e.Kernel})
	}
	var ramdisks []string
	if e.Initrd != "" {
		if ramdisks, err = filesAt(t, []string{e.Initrd}); err != nil {
			return nil, fmt.Errorf("find an initrd by the %s: %w", m.Label(), err)
		}
	}
	kernels, err := pair(m, t, e, files, ramdisks)
	if err == nil && len(kernels) == 0 {
		err = fmt.Errorf("find an initrd by the %s: nothing at %s that fits a kernel of %s", m.Label(), e.Initrd, e.Kernel)
	}
	return kernels, err
}

func noKernel(m *manifest.Manifest, places []string) error {
	return fmt.Errorf("find a kernel by the %s: %w at %s; install one in the image, or name it in the manifest's \"entrypoints\"",
		m.Label(), ErrNoKernel, strings.Join(places, ", "))
}

// seenKernels lists the kernels in the usual places, with the command lines of
// the boot loader entries.
func seenKernels(m *manifest.Manifest, t images.Tree) ([]Kernel, error) {
	files, err := kernelsAtUsualPlaces(t)
	if err != nil {
		return nil, fmt.Errorf("find a kernel by the %s: %w", m.Label(), err)
	}
	if len(files) == 0 {
		return nil, noKernel(m, slices.Concat(usualKernels, looseKernels))
	}
	ramdisks, err := filesAt(t, usualInitrds)
	if err != nil {
		return nil, fmt.Errorf("find an initrd by the %s: %w", m.Label(), err)
	}
	kernels, err := pair(m, t, manifest.EntryPoint{}, files, ramdisks)
	if err != nil {
		return nil, err
	}
	return withLoaderOptions(t, kernels)
}

// pair makes a kernel of each file, with the initrd of its version, and
// sorts them. If the entry point wants an initrd, kernels without one are left
// out.
func pair(m *manifest.Manifest, t images.Tree, e manifest.EntryPoint, files, ramdisks []string) ([]Kernel, error) {
	modules, err := findModules(t)
	if err != nil {
		return nil, fmt.Errorf("find the modules by the %s: %w", m.Label(), err)
	}
	var all []Kernel
	for _, file := range files {
		head, version, err := modules.identify(t, file)
		if err != nil {
			return nil, fmt.Errorf("read kernel %s by the %s: %w", file, m.Label(), err)
		}
		k := Kernel{
			Entry: e.Name, Path: file, Version: version, Cmdline: e.Cmdline,
			Arch: kernelArch(head), Requires: cmp.Or(e.Requires.Arch, m.Arch),
		}
		k.Modules = modules.dirOf(k.Version)
		k.Initrd = initrdOf(k, ramdisks, len(files) == 1)
		if e.Initrd != "" && !isPattern(e.Initrd) && len(ramdisks) > 0 {
			k.Initrd = ramdisks[0]
		}
		if e.Initrd == "" || k.Initrd != "" {
			all = append(all, k)
		}
	}
	slices.SortStableFunc(all, compareKernels)
	return withoutCopies(all), nil
}

// compareKernels sorts kernels with an initrd before those without, since most
// kernels find no disk without one, and newer kernels before older. Of two with
// one version, the one whose file is named for it comes first. Rescue kernels
// are last: they have the version of another kernel inside, and start only by
// choice.
func compareKernels(a, b Kernel) int {
	return cmp.Or(
		cmp.Compare(a.rank(), b.rank()),
		compareVersions(b.Version, a.Version),
		compareVersions(b.Named(), a.Named()),
	)
}

// rank is 0 for kernels with an initrd, 1 for those without, and 2 for rescue
// kernels.
func (k Kernel) rank() int {
	switch {
	case k.isRescue():
		return 2
	case k.Initrd == "":
		return 1
	}
	return 0
}

func (k Kernel) isRescue() bool { return strings.HasPrefix(k.Named(), rescuePrefix) }

// withoutCopies leaves out kernels beside their modules that are somewhere
// else, too: Fedora and Arch have each kernel twice. The one with an initrd
// stays.
func withoutCopies(kernels []Kernel) []Kernel {
	return slices.DeleteFunc(slices.Clone(kernels), func(k Kernel) bool {
		return slices.ContainsFunc(kernels, func(other Kernel) bool {
			if other.Version != k.Version || k.isRescue() || other.isRescue() || isBesideModules(k.Path) == isBesideModules(other.Path) {
				return false
			}
			return k.rank() > other.rank() || isBesideModules(k.Path) && k.rank() == other.rank()
		})
	})
}

// RegularFile is the regular file that a path leads to, links followed, or ""
// if there is none.
func RegularFile(t images.Tree, name string) (string, error) {
	file, err := images.Resolve(t, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, images.ErrTooManyLinks) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	e, err := t.Entry(file)
	if err != nil || e.Type != images.Regular && e.Type != images.HardLink {
		return "", err
	}
	return file, nil
}

// CheckVersion refuses a kernel whose version is not known. A RAM disk for it
// would have no modules.
func (k Kernel) CheckVersion() error {
	if k.Version == "" {
		return fmt.Errorf("kernel %s: its name tells no version, nor does the kernel itself, and %s does not have just one: call it vmlinuz-VERSION", k.Path, modulesDir)
	}
	return nil
}

// Check says why a kernel cannot run on a machine of an architecture, or
// cannot run the image's programs. The machine "" fits all.
func (k Kernel) Check(machine string) error {
	switch {
	case !RunsOn(machine, k.Requires):
		return fmt.Errorf("kernel %s: the image requires %s, and the machine is %s: give the machine another image",
			k.Path, ArchName(k.Requires), ArchName(machine))
	case !RunsOn(machine, k.Arch):
		return fmt.Errorf("kernel %s: it is for %s, and the machine is %s: give the machine another image, or the image a kernel for %[3]s",
			k.Path, k.Arch, ArchName(machine))
	case !RunsOn(k.Arch, k.Requires):
		return fmt.Errorf("kernel %s: it is for %s, and the image requires %s: install a kernel for %[3]s in the image, or correct \"arch\" in its manifest",
			k.Path, k.Arch, ArchName(k.Requires))
	}
	return nil
}
