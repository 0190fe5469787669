package dhcp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Options that the library has no name for, or for which PXE has another use.
const (
	optVendor   dhcpv4.GenericOptionCode = 43  // vendor-specific information: PXE's own options
	optOverload dhcpv4.GenericOptionCode = 52  // RFC 2132, 9.3
	optUUID     dhcpv4.GenericOptionCode = 97  // RFC 4578, 2.3
	optIPXE     dhcpv4.GenericOptionCode = 175 // iPXE's encapsulated options
)

// Options inside option 43, PXE 2.1 table 2-1.
const (
	pxeDiscoveryControl = 6
	pxeBootMenu         = 9
	pxeMenuPrompt       = 10
	pxeBootItem         = 71
)

// Options inside option 175.
const (
	ipxeFeatureHTTP    = 19
	ipxeFeatureBzImage = 24
	ipxeNoProxyDHCP    = 176
)

// skipDiscovery is bit 3 of PXE_DISCOVERY_CONTROL: the client takes the file
// of this offer, without a menu and without boot-server discovery.
const skipDiscovery = 8

// suboption is one option inside an encapsulating option.
type suboption struct {
	code  byte
	value []byte
}

// encapsulate writes suboptions in the order given, closed by the end option
// that PXE 2.1 asks for.
func encapsulate(subs ...suboption) []byte {
	var b []byte
	for _, s := range subs {
		b = append(b, s.code, byte(len(s.value)))
		b = append(b, s.value...)
	}
	return append(b, byte(dhcpv4.OptionEnd.Code()))
}

// SuboptionOf finds one suboption in an encapsulating option. A malformed
// suboption ends the search; those before it still count.
func SuboptionOf(b []byte, code byte) ([]byte, bool) {
	for len(b) >= 2 && b[0] != dhcpv4.OptionEnd.Code() {
		if b[0] == dhcpv4.OptionPad.Code() {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if len(b) < 2+n {
			return nil, false
		}
		if b[0] == code {
			return b[2 : 2+n], true
		}
		b = b[2+n:]
	}
	return nil, false
}

// userClasses reads option 77: a list of length-prefixed names (RFC 3004), or
// one bare name as iPXE sends it.
func userClasses(p *dhcpv4.DHCPv4) []string {
	classes := p.UserClass()
	for i, class := range classes {
		classes[i] = Printable([]byte(class))
	}
	return classes
}

// uuidText reads option 97: a zero type and 16 bytes. Firmware and iPXE send
// the first three fields with the low byte first, as SMBIOS keeps them; the
// text is what the machine's own tools show. It is empty if the option has
// another form: some network cards leave it out or send garbage.
func uuidText(b []byte) string {
	if len(b) != 17 || b[0] != 0 {
		return ""
	}
	u := bytes.Clone(b[1:])
	slices.Reverse(u[0:4])
	slices.Reverse(u[4:6])
	slices.Reverse(u[6:8])
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// maxText is how many bytes of a client's text are kept.
const maxText = 255

// Printable makes text from the network safe for logs and pages: it removes
// trailing NULs, replaces all but printable ASCII with question marks, and keeps the first
// 255 bytes.
func Printable(b []byte) string {
	s := strings.TrimRight(string(b[:min(len(b), maxText)]), "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
