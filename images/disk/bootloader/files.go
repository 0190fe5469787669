package bootloader

import "path"

// Names of the boot loaders' files.
const (
	BootImage    = "boot.img"            // GRUB's first sector, for BIOS
	CoreImage    = "core.img"            // GRUB itself, for BIOS, made by [MakeCore]
	SystemdAMD64 = "systemd-bootx64.efi" // systemd-boot for UEFI
	SystemdARM64 = "systemd-bootaa64.efi"
	ShimAMD64    = "shimx64.efi.signed" // started by firmware with Secure Boot
	ShimARM64    = "shimaa64.efi.signed"
	GRUBAMD64    = "grubx64.efi.signed" // started by shim
	GRUBARM64    = "grubaa64.efi.signed"
	MokAMD64     = "mmx64.efi.signed" // shim's tool to enroll a machine owner's keys
	MokARM64     = "mmaa64.efi.signed"
	StubAMD64    = "linuxx64.efi.stub" // systemd's stub, with which a unified kernel image begins
	StubARM64    = "linuxaa64.efi.stub"
)

// kernelImage is the file by which a folder of GRUB's modules for BIOS is found.
const kernelImage = "kernel.img"

// loaderFile describes a boot loader's file, or a file from which one is made:
// its name, its folder in a Debian system, and its Debian package.
type loaderFile struct {
	name, dir, pkg string
}

// The folders of Debian's packages.
const (
	biosGRUB = "usr/lib/grub/i386-pc"
	systemd  = "usr/lib/systemd/boot/efi"
	shim     = "usr/lib/shim"
)

// loaderFiles returns all files that [Assets] can find.
func loaderFiles() []loaderFile {
	return []loaderFile{
		{BootImage, biosGRUB, "grub-pc-bin"},
		{CoreImage, "", "grub-pc-bin"}, // made from modules; no package contains it
		{kernelImage, biosGRUB, "grub-pc-bin"},
		{SystemdAMD64, systemd, "systemd-boot-efi"},
		{SystemdARM64, systemd, "systemd-boot-efi:arm64"},
		{ShimAMD64, shim, "shim-signed"},
		{ShimARM64, shim, "shim-signed:arm64"},
		{GRUBAMD64, "usr/lib/grub/x86_64-efi-signed", "grub-efi-amd64-signed"},
		{GRUBARM64, "usr/lib/grub/arm64-efi-signed", "grub-efi-arm64-signed:arm64"},
		{MokAMD64, shim, "shim-helpers-amd64-signed"},
		{MokARM64, shim, "shim-helpers-arm64-signed:arm64"},
		{StubAMD64, systemd, "systemd-boot-efi"},
		{StubARM64, systemd, "systemd-boot-efi:arm64"},
	}
}

// LoaderNames returns the names of the files that a disk for an architecture
// needs without Secure Boot.
func LoaderNames(a Arch) []string { return SecureBoot{}.LoaderNames(a) }

// findLoader returns the description of the named file.
func findLoader(name string) (loaderFile, bool) {
	for _, f := range loaderFiles() {
		if f.name == name {
			return f, true
		}
	}
	return loaderFile{}, false
}

// inDebian returns the paths of the file in a Debian system. There are none for
// a file that no package contains.
func (f loaderFile) inDebian() []string {
	if f.dir == "" {
		return nil
	}
	return []string{path.Join(f.dir, f.name)}
}

// inAssets returns the paths of the file in a folder of boot loaders: in a
// subfolder copied from a package, or directly in the folder.
func (f loaderFile) inAssets() []string {
	if f.dir == "" {
		return []string{f.name}
	}
	return []string{path.Join(path.Base(f.dir), f.name), f.name}
}
