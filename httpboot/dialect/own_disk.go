package dialect

import (
	"path"
	"strings"

	"cloudlets/provision"
)

// OwnDiskFolder is the folder with the programs that start the disk of a machine, one for
// each architecture. HTTP has a slash before it.
func OwnDiskFolder(mac provision.MAC) string { return "boot/" + string(mac) + "/own-disk/" }

// OwnDisk is the name by which firmware of an architecture asks for its program. Firmware may
// look at the ending.
func OwnDisk(mac provision.MAC, arch string) string { return OwnDiskFolder(mac) + arch + ".efi" }

// OwnDiskOf returns the machine that the name of a program is for, and the architecture.
func OwnDiskOf(name string) (mac provision.MAC, arch string, ok bool) {
	dir, file := path.Split(name)
	text, ours := strings.CutPrefix(strings.TrimSuffix(dir, "/own-disk/"), "boot/")
	mac, err := provision.ParseMAC(text)
	arch, program := strings.CutSuffix(file, ".efi")
	return mac, arch, ours && err == nil && strings.HasSuffix(dir, "/own-disk/") && program
}
