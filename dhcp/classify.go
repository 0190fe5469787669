package dhcp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// OwnUserClass is the user class (option 77) by which an iPXE says that it
// was started by us and wants a script.
const OwnUserClass = "cloudlets"

// Classify tells what a packet says of the machine that sent it.
func Classify(p *dhcpv4.DHCPv4) Client {
	classes := userClasses(p.GetOneOption(dhcpv4.OptionUserClassInformation))
	features := p.GetOneOption(optIPXE)
	http, _ := suboptionOf(features, ipxeFeatureHTTP)
	c := Client{
		MAC:         bytes.Clone(p.ClientHWAddr),
		HTTP:        len(http) > 0 && http[0] != 0,
		UUID:        uuidText(p.GetOneOption(optUUID)),
		Hostname:    printable(p.GetOneOption(dhcpv4.OptionHostName)),
		VendorClass: printable(p.GetOneOption(dhcpv4.OptionClassIdentifier)),
		UserClass:   strings.Join(classes, ","),
		Addr:        addressOf(p),
	}
	c.Kind = kindOf(p, c.VendorClass, classes)
	if c.Kind != Plain {
		c.Firmware = firmwareOf(p)
	}
	return c
}

// kindOf names the program that sent a packet. A boot client has both an
// architecture (93) and a vendor class that says so; option 94 is not asked
// for, since not every ROM sends it.
func kindOf(p *dhcpv4.DHCPv4, vendorClass string, userClasses []string) Kind {
	http := strings.HasPrefix(vendorClass, classHTTP)
	pxe := strings.HasPrefix(vendorClass, classPXE)
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

// firmwareOf takes the first architecture that is known. A Raspberry Pi's ROM
// claims to be a BIOS, which no machine with such an address can be.
func firmwareOf(p *dhcpv4.DHCPv4) Firmware {
	archs := p.GetOneOption(dhcpv4.OptionClientSystemArchitectureType)
	for ; len(archs) >= 2; archs = archs[2:] {
		switch f := firmwareOfArch(binary.BigEndian.Uint16(archs)); {
		case f == BIOS && isRaspberryPi(p.ClientHWAddr):
			return RaspberryPi
		case f != NoFirmware:
			return f
		}
	}
	return NoFirmware
}

// firmwareOfArch reads the IANA registry of processor architecture types.
func firmwareOfArch(arch uint16) Firmware {
	switch arch {
	case 0:
		return BIOS
	case 6, 15:
		return EFIIA32
	case 7, 9, 16:
		return EFIX64
	case 10, 18:
		return EFIARM32
	case 11, 19:
		return EFIARM64
	default:
		return NoFirmware
	}
}

// isRaspberryPi knows the MAC prefixes that were given to the makers of the
// Raspberry Pi.
func isRaspberryPi(mac net.HardwareAddr) bool {
	if len(mac) < 3 {
		return false
	}
	switch [3]byte(mac) {
	case [3]byte{0xb8, 0x27, 0xeb}, [3]byte{0xdc, 0xa6, 0x32}, [3]byte{0xe4, 0x5f, 0x01},
		[3]byte{0x28, 0xcd, 0xc1}, [3]byte{0xd8, 0x3a, 0xdd}, [3]byte{0x2c, 0xcf, 0x67}:
		return true
	}
	return false
}

// addressOf is the address that a client has, or else asks for.
func addressOf(p *dhcpv4.DHCPv4) netip.Addr {
	if a := toAddr(p.ClientIPAddr); a.IsValid() {
		return a
	}
	return toAddr(p.RequestedIPAddress())
}

// toAddr converts an address; 0.0.0.0 is none.
func toAddr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
