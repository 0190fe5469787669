package bootloader

import (
	"context"
	"fmt"
	"slices"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/uki"
)

// SecureBoot selects what is installed for firmware that starts only signed
// programs. The zero value installs unsigned programs. Booting by BIOS works in
// every case.
type SecureBoot struct {
	// Shim installs Debian's shim, which Microsoft signed. Shim starts Debian's
	// signed GRUB, and GRUB starts the kernel, which Debian must have signed too.
	Shim bool
	// Signer signs with the machine owner's key, whose certificate is enrolled in
	// the firmware. It signs the boot loader, and each kernel with its RAM disk and
	// command line as a unified kernel image. If Signer is set, Shim is ignored.
	Signer uki.Signer
}

// grubMenu is where Debian's signed GRUB looks for its menu.
const grubMenu = "EFI/debian/grub.cfg"

// efiNames holds the names of one architecture's files.
type efiNames struct{ fallback, systemd, stub, shim, grub, mok string }

func efiNamesOf(a Arch) efiNames {
	if a == ARM64 {
		return efiNames{"BOOTAA64.EFI", SystemdARM64, StubARM64, ShimARM64, GRUBARM64, MokARM64}
	}
	return efiNames{"BOOTX64.EFI", SystemdAMD64, StubAMD64, ShimAMD64, GRUBAMD64, MokAMD64}
}

// FallbackLoader is the path on the ESP of the loader that UEFI firmware starts if no
// entry names another one, "EFI/BOOT/BOOTX64.EFI". Each disk has it.
func FallbackLoader(a Arch) string { return "EFI/BOOT/" + efiNamesOf(a).fallback }

// ShimGRUB is the path on the ESP of the GRUB that shim starts, "EFI/BOOT/grubx64.efi".
// Only a disk that starts by shim has it.
func ShimGRUB(a Arch) string { return "EFI/BOOT/" + withoutSigned(efiNamesOf(a).grub) }

// StubName returns the name of systemd's stub for an architecture, with which a
// unified kernel image begins.
func StubName(a Arch) string { return efiNamesOf(a).stub }

// SlotLoaderNames is [SecureBoot.LoaderNames] for a disk with two slots.
func (s SecureBoot) SlotLoaderNames(a Arch) []string {
	if s.Shim {
		return s.LoaderNames(a)
	}
	names := SecureBoot{Shim: true}.LoaderNames(a)
	return slices.DeleteFunc(names, func(name string) bool { return name == efiNamesOf(a).shim || name == efiNamesOf(a).mok })
}

// LoaderNames returns the names of the boot loaders' files that a disk for an
// architecture needs. GRUB for BIOS is among them unless it is ARM64.
func (s SecureBoot) LoaderNames(a Arch) (names []string) {
	if a != ARM64 {
		names = []string{BootImage, CoreImage}
	}
	efi := efiNamesOf(a)
	switch {
	case s.Signer != nil:
		return append(names, efi.systemd, efi.stub)
	case s.Shim:
		return append(names, efi.shim, efi.grub, efi.mok)
	}
	return append(names, efi.systemd)
}

// Check returns an error if boot loaders cannot show the menu, or if Secure Boot
// would refuse one of its kernels.
func (s SecureBoot) Check(m Menu) error {
	if err := m.check(); err != nil {
		return err
	}
	if s.Signer != nil || !s.Shim {
		return nil
	}
	for _, e := range m.Entries {
		signed, err := uki.Signed(uki.File(e.Kernel))
		if err != nil {
			return fmt.Errorf("look for a signature of Linux %s: %w", e.Version, err)
		}
		if !signed {
			return fmt.Errorf("Linux %s is not signed, and Secure Boot would refuse it: use a kernel that Debian signed, "+
				"e.g. from the package linux-image-amd64, or sign it with a key of your own", e.Version)
		}
	}
	return nil
}

// ESPFiles returns the files of the EFI system partition. It returns an error for a
// menu that cannot be shown, as [SecureBoot.Check] does, and for a file that is missing
// from loaders.
func (s SecureBoot) ESPFiles(ctx context.Context, a Arch, m Menu, loaders Files) ([]fat.File, error) {
	if err := s.Check(m); err != nil {
		return nil, err
	}
	switch {
	case s.Signer != nil:
		return s.unified(ctx, a, m, loaders)
	case s.Shim:
		return shimFiles(a, m, loaders)
	}
	return systemdFiles(a, m, loaders)
}

// shimFiles returns shim at the path where firmware looks for a loader, and GRUB
// and the key manager beside it, where shim looks for them.
func shimFiles(a Arch, m Menu, loaders Files) ([]fat.File, error) {
	efi := efiNamesOf(a)
	var files []fat.File
	for _, f := range shimPrograms(efi) {
		content, err := loaders.Get(f.name)
		if err != nil {
			return nil, err
		}
		files = append(files, fat.Bytes(f.path, content))
	}
	files = append(files, fat.Bytes(grubMenu, []byte(m.grubConf())))
	return append(files, m.forBIOS(a, true)...), nil
}

// shimPrograms returns the programs with which shim starts GRUB, and where they are.
func shimPrograms(efi efiNames) []struct{ path, name string } {
	return []struct{ path, name string }{
		{"EFI/BOOT/" + efi.fallback, efi.shim},
		{"EFI/BOOT/" + withoutSigned(efi.grub), efi.grub},
		{"EFI/BOOT/" + withoutSigned(efi.mok), efi.mok},
	}
}

// On a CD, Debian's signed GRUB cannot tell from which partition it was started.
// It then searches for the file grubMark and reads grubMarkMenu beside it.
const (
	grubMark     = ".disk/info"
	grubMarkMenu = "boot/grub/grub.cfg"
)

// FilesOnCD returns the additional files of an EFI system partition that lies in
// a file on a CD.
func (s SecureBoot) FilesOnCD(m Menu) []fat.File {
	if s.Signer != nil || !s.Shim {
		return nil
	}
	return []fat.File{
		fat.Bytes(grubMark, []byte(m.Entries[0].Title+"\n")),
		fat.Bytes(grubMarkMenu, []byte(m.grubConf())),
	}
}

// withoutSigned returns the name by which shim looks for a file, e.g.
// "grubx64.efi".
func withoutSigned(name string) string { return name[:len(name)-len(".signed")] }

// unified returns systemd-boot at the path where firmware looks for a loader, and
// each menu entry as a unified kernel image. All are signed with the owner's key.
func (s SecureBoot) unified(ctx context.Context, a Arch, m Menu, loaders Files) ([]fat.File, error) {
	efi := efiNamesOf(a)
	loader, err := loaders.Get(efi.systemd)
	if err != nil {
		return nil, err
	}
	stub, err := loaders.Get(efi.stub)
	if err != nil {
		return nil, err
	}
	signed, err := s.Signer.Sign(ctx, uki.Bytes(loader))
	if err != nil {
		return nil, fmt.Errorf("install %s: %w", efi.systemd, err)
	}
	files := []fat.File{
		named("EFI/BOOT/"+efi.fallback, signed),
		named("EFI/systemd/"+efi.systemd, signed),
		fat.Bytes("loader/loader.conf", []byte(m.unifiedConf())),
	}
	for _, e := range m.Entries {
		image, err := s.unify(ctx, stub, e)
		if err != nil {
			return nil, fmt.Errorf("install boot loaders: menu entry %q: %w", e.ID, err)
		}
		files = append(files, named("EFI/Linux/"+e.ID+".efi", image))
	}
	return append(files, m.forBIOS(a, false)...), nil
}

// Signatures returns the owner's signatures of all programs that a disk with a boot
// menu has for UEFI. With them as Signer, somebody without the key can install the
// same disk.
func Signatures(ctx context.Context, key uki.Owner, a Arch, m Menu, loaders Files) (uki.Signatures, error) {
	made := uki.Signatures{}
	_, err := SecureBoot{Signer: key.Recording(made)}.ESPFiles(ctx, a, m, loaders)
	return made, err
}

func (s SecureBoot) unify(ctx context.Context, stub []byte, e Entry) (uki.File, error) {
	image, err := uki.New(stub, uki.Kernel{
		Linux: uki.File(e.Kernel), Initrd: uki.File(e.Initrd), Cmdline: e.Cmdline, Title: e.Title, Version: e.Version,
	})
	if err != nil {
		return uki.File{}, err
	}
	return s.Signer.Sign(ctx, image)
}

func named(path string, f uki.File) fat.File { return fat.File{Path: path, Size: f.Size, Open: f.Open} }

// forBIOS returns the files that GRUB for BIOS reads: its menu and the kernels.
// With always, the kernels are included even for an architecture without BIOS.
func (m Menu) forBIOS(a Arch, always bool) (files []fat.File) {
	if a != ARM64 {
		files = append(files, fat.Bytes("grub/grub.cfg", []byte(m.grubConf())))
	}
	if a != ARM64 || always {
		files = append(files, m.kernels()...)
	}
	return files
}

// unifiedConf returns systemd-boot's configuration for unified kernel images.
func (m Menu) unifiedConf() string {
	return fmt.Sprintf("default %s.efi\ntimeout %d\nconsole-mode keep\neditor no\n", m.Entries[0].ID, m.seconds())
}

// Room returns the bytes that an EFI system partition needs for boot loaders and
// for kernels and RAM disks of so many bytes. It includes the same room again, so
// that new versions fit beside the old ones during an update.
func (s SecureBoot) Room(kernels int64) int64 {
	switch {
	case s.Signer != nil:
		return 4*kernels + 8*mib // each kernel is there for BIOS and in a unified kernel image
	case s.Shim:
		return 2*kernels + 16*mib
	}
	return 2*kernels + 8*mib
}
