package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
)

// ErrNoKernel says that an image has no kernel to boot.
var ErrNoKernel = errors.New("no kernel")

// Where an image without entry points is looked through for a kernel.
var (
	usualKernels = []string{"/boot/vmlinuz-*", "/boot/vmlinux-*", "/vmlinuz", "/boot/vmlinuz", "/lib/modules/*/vmlinuz"}
	usualInitrds = []string{"/boot/initrd.img-*", "/boot/initramfs-*", "/boot/initrd-*", "/initrd.img", "/boot/initrd.img"}
)

// Kernel is one kernel of an image, ready to be handed to a boot loader.
type Kernel struct {
	// Entry is the name of the entry point; "" where the manifest has none
	// and the kernel was found by looking.
	Entry string
	// Version is what the file's name says, "6.1.0-31-amd64"; "" if nothing.
	Version string
	// Path and Initrd are paths in the image with no links left to follow.
	// Initrd is "" where the kernel has none.
	Path, Initrd string
	Cmdline      string
	// Arch is the architecture that the kernel is for, found in the file;
	// "" where it does not tell.
	Arch string
	// Requires is the architecture that the entry point asks for, else the
	// one that the manifest names; "" where neither does.
	Requires string
}

// KernelEntry is the newest kernel of an entry point: see [manifest.Manifest.Kernels].
func NewestKernel(m *manifest.Manifest, t images.Tree, entry string) (Kernel, error) {
	all, err := Kernels(m, t, entry)
	if err != nil {
		return Kernel{}, err
	}
	return all[0], nil
}

// Kernels lists the kernels of a kernel entry point, newest first: at least
// one, or the error. The name "" stands for the default entry point. Where
// the manifest has no kernel entry points, the usual places are looked
// through. The error is [ErrNoKernel] where there is nothing to be found,
// and says where it was looked for.
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
// sorts them newest first. Where the entry point wants an initrd, kernels
// without one are left out.
func pair(m *manifest.Manifest, t images.Tree, e manifest.EntryPoint, files, ramdisks []string) ([]Kernel, error) {
	var all []Kernel
	for _, file := range files {
		k := Kernel{Entry: e.Name, Path: file, Version: kernelVersion(file), Cmdline: e.Cmdline, Requires: e.Requires.Arch}
		if k.Requires == "" {
			k.Requires = m.Arch
		}
		k.Initrd = initrdOf(k, ramdisks, len(files) == 1)
		if e.Initrd != "" && !isPattern(e.Initrd) && len(ramdisks) > 0 {
			k.Initrd = ramdisks[0]
		}
		if e.Initrd != "" && k.Initrd == "" {
			continue
		}
		var err error
		if k.Arch, err = archOf(t, file); err != nil {
			return nil, fmt.Errorf("read kernel %s by the %s: %w", file, m.Label(), err)
		}
		all = append(all, k)
	}
	slices.SortStableFunc(all, func(a, b Kernel) int { return compareVersions(b.Version, a.Version) })
	return all, nil
}

func isPattern(p string) bool { return strings.ContainsAny(p, `*?[\`) }

func archOf(t images.Tree, file string) (string, error) {
	r, err := t.Open(file)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return kernelArch(r)
}

// kernelVersion is what a kernel's name says after its first "-", or the
// name of its folder in /lib/modules.
func kernelVersion(file string) string {
	if _, version, ok := strings.Cut(path.Base(file), "-"); ok {
		return version
	}
	if dir := path.Dir(file); path.Base(path.Dir(dir)) == "modules" {
		return path.Base(dir)
	}
	return ""
}

// initrdOf picks the initrd whose name ends with the kernel's version. One
// kernel and one initrd belong together, whatever their names.
func initrdOf(k Kernel, ramdisks []string, only bool) string {
	for _, file := range ramdisks {
		base := path.Base(file)
		for _, suffix := range []string{".gz", ".xz", ".zst", ".img", ".cpio"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if k.Version != "" && strings.HasSuffix(base, "-"+k.Version) {
			return file
		}
	}
	if only && len(ramdisks) == 1 {
		return ramdisks[0]
	}
	return ""
}

// filesAt lists the regular files that the patterns lead to, each once.
// Links that lead nowhere and the copies that packaging tools leave behind
// are no files to boot.
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

// regularAt is the regular file that a path leads to, or "".
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
