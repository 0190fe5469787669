package disk

import (
	"io/fs"

	"cloudlets/images/disk/grub"
)

// grubPrefix is where GRUB looks for its configuration: on the second
// partition of the drive that it was started from, whichever that is.
const grubPrefix = "(,gpt2)/grub"

// grubModuleNames are what the menu needs: everything is in the core image,
// nothing is loaded from the disk.
func grubModuleNames() []string {
	return []string{
		"biosdisk", "part_gpt", "fat", // find the menu
		"normal", "echo", "test", "sleep", "ls", "cat", "configfile", // show it, and help who is stuck
		"serial", "terminal", "terminfo", "keystatus", // on every console
		"linux", "boot", "halt", "reboot", // and go
	}
}

// MakeCore makes GRUB's core image for BIOS of its modules, see
// [Assets.GRUB]. The same GRUB gives the same bytes. The image is not yet
// patched for a place on a disk: see [Layout.PatchCore].
func MakeCore(modules fs.FS) ([]byte, error) {
	return grub.Core{Files: modules, Prefix: grubPrefix, Modules: grubModuleNames()}.Image()
}
