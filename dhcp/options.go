package dhcp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Options that the library has no name for, or names otherwise.
const (
	optOverload dhcpv4.GenericOptionCode = 52  // RFC 2132, 9.3
	optVendor   dhcpv4.GenericOptionCode = 43  // vendor-specific information: PXE's own options
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
	ipxeFeatureHTTP = 19
	ipxeNoProxyDHCP = 176
)

// skipDiscovery is PXE_DISCOVERY_CONTROL bit 3: take the file of this offer,
// with neither menu nor boot-server discovery.
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

// suboptionOf finds one suboption in an encapsulating option. It reads up to
// the first malformed one, since what stands before it is still good.
func suboptionOf(b []byte, code byte) ([]byte, bool) {
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
func userClasses(b []byte) []string {
	var classes []string
	for rest := b; len(rest) > 0; {
		n := int(rest[0])
		if n == 0 || n >= len(rest) {
			return []string{printable(b)}
		}
		classes = append(classes, printable(rest[1:1+n]))
		rest = rest[1+n:]
	}
	return classes
}

// uuidText reads option 97: a zero type and 16 bytes, of which firmware and
// iPXE send the first three fields with the low byte first, as SMBIOS keeps
// them. The text is what the machine's own tools show. Anything else is no
// UUID: some network cards leave the option out or send rubbish.
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

// printable makes foreign text fit for logs and pages: trailing NULs go, and
// what is not printable ASCII becomes a question mark.
func printable(b []byte) string {
	s := strings.TrimRight(string(b), "\x00")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
