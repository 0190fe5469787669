package dhcp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// OwnUserClass is the user class (option 77) that an iPXE sends if this server
// started it. Such an iPXE wants a script.
const OwnUserClass = "cloudlets"

// Classify reads from a packet what it says about the machine that sent it.
func Classify(p *dhcpv4.DHCPv4) Client {
	classes := userClasses(p)
	features := p.GetOneOption(optIPXE)
	c := Client{
		MAC:         bytes.Clone(p.ClientHWAddr),
		HTTP:        hasFeature(features, ipxeFeatureHTTP),
		BzImage:     hasFeature(features, ipxeFeatureBzImage),
		UUID:        uuidText(p.GetOneOption(optUUID)),
		Hostname:    Printable(p.GetOneOption(dhcpv4.OptionHostName)),
		VendorClass: Printable(p.GetOneOption(dhcpv4.OptionClassIdentifier)),
		UserClass:   strings.Join(classes, ","),
		Addr:        addressOf(p),
	}
	c.Kind = kindOf(p, c.VendorClass, classes)
	if c.Kind != Plain {
		c.Firmware = firmwareOf(p, c.VendorClass)
	}
	if c.Firmware == UBoot {
		c.Arch = ubootArch(p, c.VendorClass)
	}
	return c
}

// hasFeature says whether an iPXE has a feature, by its option 175.
func hasFeature(features []byte, code byte) bool {
	value, _ := SuboptionOf(features, code)
	return len(value) > 0 && value[0] != 0
}

// kindOf finds out which program sent a packet. A boot client has both an
// architecture (option 93) and the vendor class of a boot client. Option 94 is
// not required, since not every ROM sends it.
func kindOf(p *dhcpv4.DHCPv4, vendorClass string, userClasses []string) Kind {
	http := strings.HasPrefix(vendorClass, ClassHTTP)
	pxe := strings.HasPrefix(vendorClass, ClassPXE) || strings.HasPrefix(vendorClass, classUBoot)
	hasArch := p.Options.Has(dhcpv4.OptionClientSystemArchitectureType)
	switch {
	case !hasArch || !http && !pxe:
		return Plain
	case slices.Contains(userClasses, OwnUserClass):
		return OwnIPXE
	case http:
		return HTTPBoot
	case slices.Contains(userClasses, "iPXE") || p.Options.Has(optIPXE):
		return IPXE // some ROMs built from iPXE send option 175 but no user class
	default:
		return PXE
	}
}

// firmwareOf takes the first architecture in option 93 that is known. The ROM
// of a Raspberry Pi claims to be a BIOS, so its MAC decides. So does U-Boot on a
// PC, so its vendor class decides.
func firmwareOf(p *dhcpv4.DHCPv4, vendorClass string) Firmware {
	if strings.HasPrefix(vendorClass, classUBoot) {
		return UBoot
	}
	archs := p.GetOneOption(dhcpv4.OptionClientSystemArchitectureType)
	for ; len(archs) >= 2; archs = archs[2:] {
		switch f := firmwareOfArch(iana.Arch(binary.BigEndian.Uint16(archs))); {
		case f == BIOS && isRaspberryPi(p.ClientHWAddr):
			return RaspberryPi
		case f != NoFirmware:
			return f
		}
	}
	return NoFirmware
}

// ubootArch is the architecture of a U-Boot. U-Boot sends it in option 93, in its
// vendor class ("U-Boot.armv8"), or in both. A board may leave out one of them.
func ubootArch(p *dhcpv4.DHCPv4, vendorClass string) string {
	archs := p.GetOneOption(dhcpv4.OptionClientSystemArchitectureType)
	for ; len(archs) >= 2; archs = archs[2:] {
		switch iana.Arch(binary.BigEndian.Uint16(archs)) {
		case iana.UBOOT_ARM64, iana.UBOOT_ARM64_HTTP:
			return "arm64"
		case iana.UBOOT_ARM32, iana.UBOOT_ARM32_HTTP:
			return "arm"
		}
	}
	switch {
	case strings.HasPrefix(vendorClass, classUBoot+".armv8"):
		return "arm64"
	case strings.HasPrefix(vendorClass, classUBoot+".arm"):
		return "arm"
	}
	return ""
}

// firmwareOfArch translates a type of the IANA registry of processor
// architecture types. Much firmware for x64 sends EBC (9) for itself.
func firmwareOfArch(arch iana.Arch) Firmware {
	switch arch {
	case iana.INTEL_X86PC:
		return BIOS
	case iana.EFI_IA32, iana.EFI_X86_HTTP:
		return EFIIA32
	case iana.EFI_X86_64, iana.EFI_BC, iana.EFI_X86_64_HTTP:
		return EFIX64
	case iana.EFI_ARM32, iana.EFI_ARM32_HTTP:
		return EFIARM32
	case iana.EFI_ARM64, iana.EFI_ARM64_HTTP:
		return EFIARM64
	case iana.UBOOT_ARM32, iana.UBOOT_ARM64, iana.UBOOT_ARM32_HTTP, iana.UBOOT_ARM64_HTTP:
		return UBoot
	default:
		return NoFirmware
	}
}

// isRaspberryPi compares a MAC with the prefixes that the makers of the
// Raspberry Pi have.
func isRaspberryPi(mac net.HardwareAddr) bool {
	if len(mac) < 3 {
		return false
	}
	switch [3]byte(mac) {
	case [3]byte{0xb8, 0x27, 0xeb}, [3]byte{0xdc, 0xa6, 0x32}, [3]byte{0xe4, 0x5f, 0x01},
		[3]byte{0x28, 0xcd, 0xc1}, [3]byte{0xd8, 0x3a, 0xdd}, [3]byte{0x2c, 0xcf, 0x67},
		[3]byte{0x88, 0xa2, 0x9e}:
		return true
	}
	return false
}

// addressOf is the address that a client has, or else the one that it asks for.
func addressOf(p *dhcpv4.DHCPv4) netip.Addr {
	if a := ToAddr(p.ClientIPAddr); a.IsValid() {
		return a
	}
	return ToAddr(p.RequestedIPAddress())
}

// ToAddr converts an address. 0.0.0.0 becomes the invalid netip.Addr.
func ToAddr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// String names a kind of client as a person would.
func (k Kind) String() string {
	switch k {
	case OwnIPXE:
		return "our iPXE"
	case HTTPBoot:
		return "UEFI HTTP Boot"
	case IPXE:
		return "stock iPXE"
	case PXE:
		return "PXE"
	default:
		return "plain DHCP client"
	}
}

// String names a platform as a person would.
func (f Firmware) String() string {
	switch f {
	case BIOS:
		return "BIOS"
	case EFIIA32:
		return "UEFI ia32"
	case EFIX64:
		return "UEFI x64"
	case EFIARM32:
		return "UEFI arm32"
	case EFIARM64:
		return "UEFI arm64"
	case RaspberryPi:
		return "Raspberry Pi"
	case UBoot:
		return "U-Boot"
	default:
		return "unknown firmware"
	}
}

// UEFI says whether a platform starts boot loaders as UEFI does.
func (f Firmware) UEFI() bool {
	switch f {
	case EFIIA32, EFIX64, EFIARM32, EFIARM64:
		return true
	}
	return false
}
