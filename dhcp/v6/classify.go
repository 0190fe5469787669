package v6

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/dhcp"
)

// Vendor classes (option 16) by which boot clients and servers recognise each other.
const (
	classPXE  = "PXEClient"
	classHTTP = "HTTPClient"
	// enterprise is the enterprise number that boot clients and servers give with the
	// class, which is Intel's (UEFI 2.10, 24.3.5).
	enterprise = 343
)

// Classify reads from a packet what it says about the machine that sent it. UUID is
// that of a DUID-UUID (RFC 6355), which firmware makes from the machine's own.
func Classify(r Request) dhcp.Client {
	m := r.Message
	users := userClasses(m)
	c := dhcp.Client{
		MAC:         linkLayer(r),
		VendorClass: vendorClass(m),
		UserClass:   dhcp.Printable([]byte(strings.Join(users, ","))),
		Addr:        asked(m),
	}
	if f := m.Options.FQDN(); f != nil && f.DomainName != nil {
		c.Hostname = dhcp.Printable([]byte(strings.Join(f.DomainName.Labels, ".")))
	}
	if id, ok := m.Options.ClientID().(*dhcpv6.DUIDUUID); ok {
		u := id.UUID
		c.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	}
	c.Kind = kindOf(c, users, m.Options.ArchTypes())
	if c.Kind != dhcp.Plain {
		c.Firmware = firmwareOf(m.Options.ArchTypes())
	}
	// DHCPv6 has no option in which an iPXE says what it can do. Builds with IPv6
	// have HTTP, too.
	c.HTTP = c.Kind == dhcp.IPXE || c.Kind == dhcp.OwnIPXE
	c.BzImage = c.HTTP
	return c
}

// kindOf finds out which program sent a packet. A boot client has an architecture
// (option 61), and the vendor class of a boot client or iPXE's user class.
func kindOf(c dhcp.Client, users []string, archs iana.Archs) dhcp.Kind {
	http, pxe := strings.HasPrefix(c.VendorClass, classHTTP), strings.HasPrefix(c.VendorClass, classPXE)
	ipxe := slices.Contains(users, "iPXE")
	switch {
	case len(archs) == 0 || !http && !pxe && !ipxe:
		return dhcp.Plain
	case slices.Contains(users, dhcp.OwnUserClass):
		return dhcp.OwnIPXE
	case ipxe:
		return dhcp.IPXE
	case http:
		return dhcp.HTTPBoot
	}
	return dhcp.PXE
}

// firmwareOf takes the first architecture that is known. The types are those of
// DHCPv4 (RFC 5970, 3.3).
func firmwareOf(archs iana.Archs) dhcp.Firmware {
	for _, arch := range archs {
		switch arch {
		case iana.INTEL_X86PC:
			return dhcp.BIOS
		case iana.EFI_IA32, iana.EFI_X86_HTTP:
			return dhcp.EFIIA32
		case iana.EFI_X86_64, iana.EFI_BC, iana.EFI_X86_64_HTTP:
			return dhcp.EFIX64
		case iana.EFI_ARM32, iana.EFI_ARM32_HTTP:
			return dhcp.EFIARM32
		case iana.EFI_ARM64, iana.EFI_ARM64_HTTP:
			return dhcp.EFIARM64
		}
	}
	return dhcp.NoFirmware
}

// vendorClass is the first vendor class of a boot client, or else the first of all.
func vendorClass(m *dhcpv6.Message) string {
	first := ""
	for _, option := range m.Options.VendorClasses() {
		for _, data := range option.Data {
			text := dhcp.Printable(data)
			if strings.HasPrefix(text, classHTTP) || strings.HasPrefix(text, classPXE) {
				return text
			}
			if first == "" {
				first = text
			}
		}
	}
	return first
}

func userClasses(m *dhcpv6.Message) (all []string) {
	for _, class := range m.Options.UserClasses() {
		all = append(all, dhcp.Printable(class))
	}
	return all
}

// asked is the first address that a packet names, or invalid.
func asked(m *dhcpv6.Message) netip.Addr {
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			return toAddr(a.IPv6Addr)
		}
	}
	return netip.Addr{}
}

// given is the address that a reply gives, or invalid.
func given(m *dhcpv6.Message) netip.Addr {
	for _, ia := range m.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			if a.ValidLifetime > 0 {
				return toAddr(a.IPv6Addr)
			}
		}
	}
	return netip.Addr{}
}

// toAddr converts an address. :: becomes the invalid netip.Addr.
func toAddr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.IsUnspecified() || a.Is4In6() {
		return netip.Addr{}
	}
	return a
}

// linkLayer is the address of the network card that a client asks for. The relay agent
// next to the client says it (RFC 6939), or else the client's link-local address has it
// in it. The DUID comes after these: a host with several cards has one DUID for all of
// them.
//
// A client that tells its address in none of these ways gets one made from its DUID
// and the identifier of what it asks for. No real card has such an address, and the
// client has the same one whenever it asks.
func linkLayer(r Request) net.HardwareAddr {
	if n := len(r.Relays); n > 0 {
		if kind, mac := r.Relays[n-1].Options.ClientLinkLayerAddress(); kind == iana.HWTypeEthernet && isCard(mac) {
			return bytes.Clone(mac)
		}
	}
	if mac := fromEUI64(r.peer()); isCard(mac) {
		return mac
	}
	id := r.Message.Options.ClientID()
	switch id := id.(type) {
	case *dhcpv6.DUIDLL:
		if id.HWType == iana.HWTypeEthernet && isCard(id.LinkLayerAddr) {
			return bytes.Clone(id.LinkLayerAddr)
		}
	case *dhcpv6.DUIDLLT:
		if id.HWType == iana.HWTypeEthernet && isCard(id.LinkLayerAddr) {
			return bytes.Clone(id.LinkLayerAddr)
		}
	case nil:
		return nil // an Information-request may have none
	}
	text := id.ToBytes()
	if ia := r.Message.Options.OneIANA(); ia != nil {
		text = append(text, ia.IaId[:]...)
	}
	sum := sha256.Sum256(text)
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^1 | 2 // no multicast address; one that no maker gave out
	return mac
}

// isCard says whether a link-layer address is one that a network card can have.
func isCard(mac net.HardwareAddr) bool {
	return len(mac) == 6 && mac[0]&1 == 0 && !bytes.Equal(mac, make([]byte, 6))
}

// fromEUI64 is the link-layer address from which a link-local address was made, or nil
// if it was made otherwise (RFC 4291, appendix A).
func fromEUI64(a netip.Addr) net.HardwareAddr {
	if !a.Is6() || !a.IsLinkLocalUnicast() {
		return nil
	}
	b := a.As16()
	if binary.BigEndian.Uint16(b[11:]) != 0xfffe {
		return nil
	}
	return net.HardwareAddr{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
}
