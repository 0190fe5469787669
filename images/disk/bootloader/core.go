package bootloader

import (
	"io/fs"

	"cloudlets/images/disk/grub"
)

// grubPrefix is where GRUB looks for its configuration: the second partition of
// the drive from which it was started.
const grubPrefix = "(,gpt2)/grub"

// grubModuleNames returns the modules that the menu needs. All of them are in
// the core image, so GRUB loads no module from the disk.
func grubModuleNames() []string {
	return []string{
		"biosdisk", "part_gpt", "fat", // find the menu
		"normal", "echo", "test", "sleep", "ls", "cat", "configfile", // show it, and let a person debug a failed boot
		"serial", "terminal", "terminfo", "keystatus", // on every console
		"linux", "boot", "halt", "reboot", // start the kernel
		"ext2", "loadenv", "regexp", // on a disk with two slots, count and find them
	}
}

// MakeCore makes GRUB's core image for BIOS from GRUB's modules, see
// [Assets.GRUB]. The same modules give the same bytes. PatchCore of package disk
// adapts the image to its offset on a disk.
func MakeCore(modules fs.FS) ([]byte, error) {
	return grub.Core{Files: modules, Prefix: grubPrefix, Modules: grubModuleNames()}.Image()
}

// HybridCore describes a GRUB that starts from a CD and from a disk to which a
// CD's image was written. It is made from GRUB's modules, see [Assets.GRUB]. It
// looks for its menu on the ESP, the first partition of the medium from which it
// was started; a hybrid image has a partition table on a CD too.
func HybridCore(modules fs.FS) *grub.Core {
	return &grub.Core{Files: modules, Prefix: "(,gpt1)/grub", Modules: grubModuleNames(), Medium: grub.CD}
}
