package dialect

import (
	"path"
	"strings"

	"cloudlets/provision"
)

// OwnDiskFolder is the folder with the programs that start the disk of a machine, one for
// each architecture. HTTP has a slash before it.
func OwnDiskFolder(mac provision.MAC) string { return "boot/" + string(mac) + "/own-disk/" }

// OwnDisk is the name by which firmware of an architecture asks for its program.
func OwnDisk(mac provision.MAC, arch string) string { return OwnDiskFolder(mac) + OwnDiskFile(arch) }

// OwnDiskFile is the name of such a program in its folder. Firmware may look at the ending.
func OwnDiskFile(arch string) string { return arch + ".efi" }

// OwnDiskArch returns the architecture that such a name in the folder is for.
func OwnDiskArch(file string) string { return strings.TrimSuffix(file, ".efi") }

// OwnDiskOf returns the machine that the name of a program is for, and the architecture.
func OwnDiskOf(name string) (mac provision.MAC, arch string, ok bool) {
	dir, file := path.Split(name)
	text, ours := strings.CutPrefix(strings.TrimSuffix(dir, "/own-disk/"), "boot/")
	mac, err := provision.ParseMAC(text)
	arch = OwnDiskArch(file)
	return mac, arch, ours && err == nil && strings.HasSuffix(dir, "/own-disk/") && file == OwnDiskFile(arch)
}
