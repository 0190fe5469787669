package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the files that boot loaders consist of.
const (
	BootImage    = "boot.img"            // GRUB's first sector, for BIOS
	CoreImage    = "core.img"            // GRUB itself, for BIOS, made by [MakeCore]
	SystemdAMD64 = "systemd-bootx64.efi" // systemd-boot for UEFI
	SystemdARM64 = "systemd-bootaa64.efi"
)

// Loaders are the boot loaders' files by name.
type Loaders map[string][]byte

// LoaderNames are the files that a disk for an architecture needs: only amd64
// has a BIOS.
func LoaderNames(a Arch) []string {
	if a == ARM64 {
		return []string{SystemdARM64}
	}
	return []string{BootImage, CoreImage, SystemdAMD64}
}

// get is one of the files, or an error that names it.
func (l Loaders) get(name string) ([]byte, error) {
	b := l[name]
	if len(b) == 0 {
		return nil, fmt.Errorf("install boot loaders: %s is missing", name)
	}
	return b, nil
}

// Assets finds boot loaders on the host: in Dir, if that is set and has the
// file, or else where Debian's packages put them.
type Assets struct {
	Dir string
}

const (
	debianGRUB    = "/usr/lib/grub/i386-pc"
	debianSystemd = "/usr/lib/systemd/boot/efi"
)

// grubModules is the folder of GRUB's modules for BIOS: Dir itself, its
// i386-pc, or Debian's.
func (a Assets) grubModules() (string, error) {
	dirs := []string{debianGRUB}
	if a.Dir != "" {
		dirs = []string{filepath.Join(a.Dir, "i386-pc"), a.Dir, debianGRUB}
	}
	for _, d := range dirs {
		if isFile(filepath.Join(d, "kernel.img")) {
			return d, nil
		}
	}
	return "", a.missing("kernel.img", "grub-pc-bin")
}

// Path is where the named file of [LoaderNames] is. [CoreImage] is found
// only where somebody put one into Dir; usually it is made.
func (a Assets) Path(name string) (string, error) {
	place, pkg := debianSystemd, "systemd-boot-efi"
	switch name {
	case BootImage:
		place, pkg = debianGRUB, "grub-pc-bin"
	case CoreImage:
		place, pkg = "", "grub-common and grub-pc-bin, from which it is made"
	case SystemdARM64:
		pkg = "systemd-boot-efi of arm64"
	}
	for _, dir := range []string{a.Dir, place} {
		if p := filepath.Join(dir, name); dir != "" && isFile(p) {
			return p, nil
		}
	}
	return "", a.missing(name, pkg)
}

// Load reads, or makes, all files that a disk for an architecture needs. All
// that are missing are in the error, each with its package.
func (a Assets) Load(ctx context.Context, arch Arch) (Loaders, error) {
	loaders := Loaders{}
	var errs []error
	for _, name := range LoaderNames(arch) {
		b, err := a.load(ctx, name)
		if err != nil {
			errs = append(errs, err)
		}
		loaders[name] = b
	}
	return loaders, errors.Join(errs...)
}

func (a Assets) load(ctx context.Context, name string) ([]byte, error) {
	p, err := a.Path(name)
	if name == CoreImage && errors.Is(err, fs.ErrNotExist) {
		return MakeCore(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return nil, fmt.Errorf("load boot loader: %w", err)
	}
	return b, nil
}

func (a Assets) missing(name, pkg string) error {
	where := ""
	if a.Dir != "" {
		where = " or put it into " + a.Dir
	}
	return fmt.Errorf("find boot loader %s: install the Debian package %s%s: %w", name, pkg, where, fs.ErrNotExist)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
