package disk

import "path"

// Names of the files that boot loaders consist of.
const (
	BootImage    = "boot.img"            // GRUB's first sector, for BIOS
	CoreImage    = "core.img"            // GRUB itself, for BIOS, made by [MakeCore]
	SystemdAMD64 = "systemd-bootx64.efi" // systemd-boot for UEFI
	SystemdARM64 = "systemd-bootaa64.efi"
	ShimAMD64    = "shimx64.efi.signed" // what firmware with Secure Boot starts
	ShimARM64    = "shimaa64.efi.signed"
	GRUBAMD64    = "grubx64.efi.signed" // what shim starts
	GRUBARM64    = "grubaa64.efi.signed"
	MokAMD64     = "mmx64.efi.signed" // shim's manager of a machine's own keys
	MokARM64     = "mmaa64.efi.signed"
	StubAMD64    = "linuxx64.efi.stub" // systemd's beginning of a unified kernel image
	StubARM64    = "linuxaa64.efi.stub"
)

// kernelImage is what tells a folder of GRUB's modules for BIOS.
const kernelImage = "kernel.img"

// loaderFile is one of these files, or one that they are made from: the
// folder in which a Debian system has it, and the package that it is of.
type loaderFile struct {
	name, dir, pkg string
}

// The folders of Debian's packages.
const (
	biosGRUB = "usr/lib/grub/i386-pc"
	systemd  = "usr/lib/systemd/boot/efi"
	shim     = "usr/lib/shim"
)

// loaderFiles are all files that [Assets] finds.
func loaderFiles() []loaderFile {
	return []loaderFile{
		{BootImage, biosGRUB, "grub-pc-bin"},
		{CoreImage, "", "grub-pc-bin"}, // no package has one ready
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

// LoaderNames are the files that a disk for an architecture needs without
// Secure Boot.
func LoaderNames(a Arch) []string { return SecureBoot{}.LoaderNames(a) }

// findLoader is the table's line of a name.
func findLoader(name string) (loaderFile, bool) {
	for _, f := range loaderFiles() {
		if f.name == name {
			return f, true
		}
	}
	return loaderFile{}, false
}

// inDebian is where a Debian system has the file; "" where it has none.
func (f loaderFile) inDebian() []string {
	if f.dir == "" {
		return nil
	}
	return []string{path.Join(f.dir, f.name)}
}

// inAssets is where a folder of boot loaders may have it: beside the others,
// or in a folder that was copied as a package has it.
func (f loaderFile) inAssets() []string {
	if f.dir == "" {
		return []string{f.name}
	}
	return []string{path.Join(path.Base(f.dir), f.name), f.name}
}
