package dialect

import (
	"path"
	"strings"
)

// MayBeMissing says whether shim, GRUB, U-Boot or a Raspberry Pi asks for a file that
// is there only on other servers. Its absence says nothing about the machine.
func MayBeMissing(name string) bool {
	switch name {
	case "revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi":
		return true
	}
	uboot := strings.HasPrefix(name, UBootMachines) || strings.HasPrefix(name+"/", ubootTrees)
	return uboot || mayPiMiss(name) || strings.HasPrefix(name, grubRoot) && path.Ext(name) == ".lst"
}
