package boot

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// nixProfile is the system that a NixOS starts: links into its store.
const (
	nixProfile = "/nix/var/nix/profiles/system"
	nixStore   = "/nix/store/"
)

// The places of kernels and RAM disks in an image without kernel entry points,
// by the distributions that put them there.
var (
	usualKernels = []string{
		"/boot/vmlinuz-*", "/boot/vmlinux-*", // most
		"/vmlinuz", "/boot/vmlinuz", // links of Debian, openSUSE and Void; copies of hand-made systems
		"/lib/modules/*/vmlinuz", "/usr/lib/modules/*/vmlinuz", // Fedora, Arch, openSUSE, bootc
		"/lib/modules/*/Image", "/usr/lib/modules/*/Image", // openSUSE for arm64
		"/boot/ostree/*/vmlinuz-*", // a deployed ostree
		nixProfile + "/kernel",
	}
	// looseKernels are patterns that may match other files as well, so that
	// only what looks like a kernel is taken.
	looseKernels = []string{
		"/boot/kernel-*", "/boot/bzImage-*", "/boot/Image-*", "/boot/bzImage", "/boot/Image", // Gentoo, openSUSE, hand-made systems
		"/boot/*/*/linux", // kernel-install(8) with the layout "bls"
	}
	usualInitrds = []string{
		"/boot/initrd.img-*", "/boot/initramfs-*", "/boot/initrd-*", // most
		"/initrd.img", "/boot/initrd.img", "/boot/initrd", "/boot/initramfs.img",
		"/lib/modules/*/initramfs.img", "/usr/lib/modules/*/initramfs.img", "/lib/modules/*/initrd", "/usr/lib/modules/*/initrd",
		"/boot/ostree/*/initramfs-*",
		"/boot/*/*/initrd",
		nixProfile + "/initrd",
	}
)

// isPattern reports whether a path has special characters of [path.Match].
func isPattern(p string) bool { return strings.ContainsAny(p, `*?[\`) }

// rescuePrefix begins the version in the name of a rescue kernel, by
// kernel-install(8).
const rescuePrefix = "0-rescue"

// Named is the version in the name of the kernel's file: what is after the
// first "-", or the name of its directory if kernels of one name are in
// directories for each version. It may be short ("lts"), and is "" if the name
// has none.
func (k Kernel) Named() string { return namedVersion(k.Path) }

func namedVersion(file string) string {
	if _, version, ok := strings.Cut(path.Base(file), "-"); ok {
		return version
	}
	if dir := path.Base(path.Dir(file)); isBesideModules(file) || isDigit(dir) {
		return dir
	}
	return ""
}

func isBesideModules(file string) bool { return path.Base(path.Dir(path.Dir(file))) == "modules" }

// initrdOf picks the initrd whose name ends as the kernel's does, or else with
// the kernel's version, or else the only one in a directory that the kernel has
// for itself. One kernel and one initrd belong together, whatever their names.
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
	if dir := path.Dir(k.Path); dir != "/" && dir != "/boot" {
		beside := slices.DeleteFunc(slices.Clone(ramdisks), func(file string) bool { return path.Dir(file) != dir })
		if len(beside) == 1 {
			return beside[0]
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

// kernelsAtUsualPlaces lists the files in the usual places of kernels.
func kernelsAtUsualPlaces(t images.Tree) ([]string, error) {
	files, err := filesAt(t, usualKernels)
	if err != nil {
		return nil, err
	}
	loose, err := filesAt(t, looseKernels)
	if err != nil {
		return nil, err
	}
	for _, file := range loose {
		head, err := readHead(t, file)
		if err != nil {
			return nil, err
		}
		if kernelArch(head) != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return withoutVmlinux(t, files)
}

// withoutVmlinux leaves out programs of the type ELF for x86, which no boot
// loader starts, if there are others. openSUSE has one beside each kernel, for
// debuggers.
func withoutVmlinux(t images.Tree, files []string) ([]string, error) {
	var started []string
	for _, file := range files {
		head, err := readHead(t, file)
		if err != nil {
			return nil, err
		}
		if arch := elfArch(head); arch != "amd64" && arch != "i386" {
			started = append(started, file)
		}
	}
	if len(started) == 0 {
		return files, nil
	}
	return started, nil
}

func isCopy(file string) bool {
	for _, suffix := range []string{".old", ".bak", "~", ".dpkg-tmp", ".dpkg-new", ".dpkg-bak"} {
		if strings.HasSuffix(file, suffix) {
			return true
		}
	}
	return false
}
