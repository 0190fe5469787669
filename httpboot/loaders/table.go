package loaders

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"cloudlets/dhcp"
)

// Loader is a boot loader for one kind of firmware.
type Loader struct {
	Name    string // by which machines ask for it
	debian  string // the folder of Debian's package; "" if no package has it
	pkg     string
	purpose string
	file    string // its name there and in the folder of loaders; "" if it is the same
}

// The folders of Debian's packages.
const (
	debianIPXE      = "/usr/lib/ipxe/"
	debianShim      = "/usr/lib/shim/"
	debianGRUBPlain = "/usr/lib/grub/arm64-efi/monolithic/"
	debianGRUBAMD64 = "/usr/lib/grub/x86_64-efi-signed/"
	debianGRUBARM64 = "/usr/lib/grub/arm64-efi-signed/"
)

// byFirmware are the files that DHCP names, by the firmware that starts them: the first
// that is there. For UEFI it is the build that uses the firmware's driver of the
// network card, since iPXE's own drivers hang on some boards. Debian has an iPXE for
// arm64 only from version 13 on, so those machines can do with GRUB.
var byFirmware = map[dhcp.Firmware][]Loader{
	dhcp.BIOS:    {{"undionly.kpxe", debianIPXE, "ipxe", "BIOS machines", ""}},
	dhcp.EFIX64:  {{"snponly.efi", debianIPXE, "ipxe", "UEFI machines", ""}},
	dhcp.EFIIA32: {{"snponly-ia32.efi", "", "", "UEFI machines of 32 bits", ""}},
	dhcp.EFIARM64: {
		{"snponly-arm64.efi", "", "", "UEFI machines of arm64", ""},
		{"ipxe-arm64.efi", debianIPXE, "ipxe of Debian 13", "UEFI machines of arm64", ""},
		{"grubnetaa64.efi", debianGRUBPlain, "grub-efi-arm64-bin:arm64", "UEFI machines of arm64 without an iPXE", ""},
		{"grubaa64.efi", debianGRUBARM64, "grub-efi-arm64-signed:arm64", "UEFI machines of arm64 without an iPXE", "grubnetaa64.efi.signed"},
	},
	dhcp.EFIARM32: {{"snponly-arm32.efi", "", "", "UEFI machines of 32-bit ARM", ""}},
}

// IsGRUB says whether a loader speaks GRUB's dialect, and needs its first
// configuration by TFTP.
func (k Loader) IsGRUB() bool { return strings.HasPrefix(k.Name, "grub") }

// signed are the files that DHCP names instead to UEFI PXE of machines with Secure
// Boot. Shim then asks for the loader of afterShim, by a name that it was built with.
var signed = map[dhcp.Firmware]Loader{
	dhcp.EFIX64:   {"shimx64.efi", debianShim, "shim-signed", "UEFI machines with Secure Boot", "shimx64.efi.signed"},
	dhcp.EFIARM64: {"shimaa64.efi", debianShim, "shim-signed", "UEFI machines of arm64 with Secure Boot", "shimaa64.efi.signed"},
}

// Signed returns the loader for a machine with Secure Boot, if its firmware is known to
// have one.
func Signed(firmware dhcp.Firmware) (Loader, bool) {
	known, ok := signed[firmware]
	return known, ok
}

// afterShim are the files that shim asks for: GRUB, and shim's tool with which a
// person enrolls keys.
var afterShim = []Loader{
	{"grubx64.efi", debianGRUBAMD64, "grub-efi-amd64-signed", "UEFI machines with Secure Boot", "grubnetx64.efi.signed"},
	{"grubaa64.efi", debianGRUBARM64, "grub-efi-arm64-signed", "UEFI machines of arm64 with Secure Boot", "grubnetaa64.efi.signed"},
	{"mmx64.efi", debianShim, "shim-helpers-amd64-signed", "UEFI machines whose owner enrolls keys", "mmx64.efi.signed"},
	{"mmaa64.efi", debianShim, "shim-helpers-arm64-signed", "UEFI machines of arm64 whose owner enrolls keys", "mmaa64.efi.signed"},
}

// all returns all loaders that have a name of their own. Nobody changes them.
var all = sync.OnceValue(func() []Loader {
	list := slices.Concat(alternatives, afterShim)
	for _, firmware := range byFirmware {
		list = append(list, firmware...)
	}
	return slices.AppendSeq(list, maps.Values(signed))
})

// fileName returns the name of the loader's file in a folder.
func (k Loader) fileName() string { return cmp.Or(k.file, k.Name) }

// alternatives are further files that a machine's quirks may name.
var alternatives = []Loader{
	{"ipxe.efi", debianIPXE, "ipxe", "UEFI machines, with iPXE's own drivers", ""},
	{"ipxe.pxe", debianIPXE, "ipxe", "BIOS machines, with iPXE's own drivers", ""},
	{"undionly.kkpxe", debianIPXE, "ipxe", "BIOS machines that lose their network", ""},
}

// missing is the error for a file that is not in dir, nor where its package would put it.
func (k Loader) missing(name, dir string) error {
	how := "put it into the folder that --assets names"
	if dir != "" {
		how = "put it into " + dir
	}
	if k.pkg != "" {
		how = "install the Debian package " + k.pkg + ", or " + how
	}
	return fmt.Errorf("the boot loader %s is missing: %s: %w", name, how, fs.ErrNotExist)
}

func lookUp(name string) (Loader, bool) {
	list := all()
	i := slices.IndexFunc(list, func(l Loader) bool { return strings.EqualFold(l.Name, name) })
	if i < 0 {
		return Loader{}, false
	}
	return list[i], true
}
