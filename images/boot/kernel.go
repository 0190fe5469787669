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
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// ErrNoKernel is returned for an image without a kernel.
var ErrNoKernel = errors.New("no kernel")

// The places of kernels and RAM disks in an image without kernel entry points.
var (
	usualKernels = []string{"/boot/vmlinuz-*", "/boot/vmlinux-*", "/vmlinuz", "/boot/vmlinuz", "/lib/modules/*/vmlinuz"}
	usualInitrds = []string{"/boot/initrd.img-*", "/boot/initramfs-*", "/boot/initrd-*", "/initrd.img", "/boot/initrd.img"}
)

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
	// Cmdline is the entry point's, and may be a template.
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

// Kernels lists the kernels of a kernel entry point, newest first, and rescue
// kernels last. There is at least one, or an error. The name "" stands for the
// default entry point. If the manifest has no kernel entry points, the usual
// places are searched. If there is no kernel, the error is [ErrNoKernel] and
// lists the places.
func Kernels(m *manifest.Manifest, t images.Tree, entry string) ([]Kernel, error) {
	e, places, initrds, err := kernelPlaces(m, entry)
	if err != nil {
		return nil, err
	}
	files, err := filesAt(t, places)
	if err != nil {
		return nil, fmt.Errorf("find a kernel by the %s: %w", m.Label(), err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("find a kernel by the %s: %w at %s; install one in the image, or name it in the manifest's \"entrypoints\"",
			m.Label(), ErrNoKernel, strings.Join(places, ", "))
	}
	ramdisks, err := filesAt(t, initrds)
	if err != nil {
		return nil, fmt.Errorf("find an initrd by the %s: %w", m.Label(), err)
	}
	kernels, err := pair(m, t, e, files, ramdisks)
	if err == nil && len(kernels) == 0 {
		err = fmt.Errorf("find an initrd by the %s: nothing at %s that fits a kernel of %s", m.Label(), e.Initrd, e.Kernel)
	}
	return kernels, err
}

// kernelPlaces says where the kernels and initrds of an entry point are.
func kernelPlaces(m *manifest.Manifest, name string) (e manifest.EntryPoint, kernels, initrds []string, err error) {
	if !m.Has(manifest.KernelEntry) && (name == "" || name == SeenKernel) {
		return manifest.EntryPoint{}, usualKernels, usualInitrds, nil
	}
	e, err = m.EntryPoint(manifest.KernelEntry, name)
	if e.Initrd != "" {
		initrds = []string{e.Initrd}
	}
	return e, []string{e.Kernel}, initrds, err
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
		head, err := readHead(t, file)
		if err != nil {
			return nil, fmt.Errorf("read kernel %s by the %s: %w", file, m.Label(), err)
		}
		k := Kernel{
			Entry: e.Name, Path: file, Version: modules.versionOf(head, namedVersion(file)), Cmdline: e.Cmdline,
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

// compareKernels sorts newer kernels first. Of two with one version, the one
// whose file is named for it comes first. Rescue kernels are last: they have
// the version of another kernel inside, and start only by choice.
func compareKernels(a, b Kernel) int {
	return cmp.Or(
		cmp.Compare(a.rank(), b.rank()),
		compareVersions(b.Version, a.Version),
		compareVersions(b.Named(), a.Named()),
	)
}

// rescuePrefix begins the version in the name of a rescue kernel, by
// kernel-install(8).
const rescuePrefix = "0-rescue"

func (k Kernel) rank() int {
	if strings.HasPrefix(k.Named(), rescuePrefix) {
		return 1
	}
	return 0
}

// withoutCopies leaves out kernels beside their modules that are somewhere
// else, too: Fedora has each kernel twice.
func withoutCopies(kernels []Kernel) []Kernel {
	return slices.DeleteFunc(slices.Clone(kernels), func(k Kernel) bool {
		return isBesideModules(k.Path) && slices.ContainsFunc(kernels, func(other Kernel) bool {
			return !isBesideModules(other.Path) && other.Version == k.Version && other.rank() == 0
		})
	})
}

func isPattern(p string) bool { return strings.ContainsAny(p, `*?[\`) }

// Named is the version in the name of the kernel's file: what is after the
// first "-", or the name of its directory in /lib/modules. It may be short
// ("lts"), and is "" if the name has none.
func (k Kernel) Named() string { return namedVersion(k.Path) }

func namedVersion(file string) string {
	if _, version, ok := strings.Cut(path.Base(file), "-"); ok {
		return version
	}
	if isBesideModules(file) {
		return path.Base(path.Dir(file))
	}
	return ""
}

func isBesideModules(file string) bool { return path.Base(path.Dir(path.Dir(file))) == "modules" }

// initrdOf picks the initrd whose name ends as the kernel's does, or else with
// the kernel's version. One kernel and one initrd belong together, whatever
// their names.
func initrdOf(k Kernel, ramdisks []string, only bool) string {
	for _, version := range []string{k.Named(), k.Version} {
		for _, file := range ramdisks {
			base := path.Base(file)
			for _, suffix := range []string{".gz", ".xz", ".zst", ".img", ".cpio"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if version != "" && strings.HasSuffix(base, "-"+version) {
				return file
			}
		}
	}
	if only && len(ramdisks) == 1 {
		return ramdisks[0]
	}
	return ""
}

// filesAt lists the regular files that the patterns lead to, each once. It
// leaves out dangling links, and the copies that packaging tools make.
func filesAt(t images.Tree, patterns []string) ([]string, error) {
	var files []string
	for _, pattern := range patterns {
		names, err := images.Glob(t, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			file, err := RegularFile(t, name)
			if err != nil {
				return nil, err
			}
			if file != "" && !slices.Contains(files, file) && (name == pattern || !isCopy(file)) {
				files = append(files, file)
			}
		}
	}
	return files, nil
}

func isCopy(file string) bool {
	for _, suffix := range []string{".old", ".bak", "~", ".dpkg-tmp", ".dpkg-new", ".dpkg-bak"} {
		if strings.HasSuffix(file, suffix) {
			return true
		}
	}
	return false
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
