package provision

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
)

// ParseMAC reads a hardware address in any usual form: "52:54:00:12:34:56",
// "52-54-00-12-34-56", "5254.0012.3456" or "525400123456", in upper or lower case.
// It refuses group addresses and the address of all zeros, since no single machine
// has those.
func ParseMAC(text string) (MAC, error) {
	if isCanonical(text) {
		return MAC(text), nil
	}
	raw, err := hex.DecodeString(joinMACGroups(text))
	if err != nil || len(raw) != 6 {
		return "", fmt.Errorf("parse %q as a MAC address: want six bytes in hexadecimal, such as 52:54:00:12:34:56", text)
	}
	return MACFrom(raw)
}

// isCanonical says whether a text is the address of one machine in the form that [MAC]
// has, as it is in all that this program writes.
func isCanonical(text string) bool {
	if len(text) != len("52:54:00:12:34:56") || text == "00:00:00:00:00:00" {
		return false
	}
	for i := range len(text) {
		c, separates := text[i], i%3 == 2
		if separates != (c == ':') || !separates && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return strings.IndexByte("02468ace", text[1]) >= 0 // else it is a group's
}

// MACFrom returns the [MAC] for a hardware address from a packet.
func MACFrom(addr net.HardwareAddr) (MAC, error) {
	if len(addr) != 6 {
		return "", fmt.Errorf("read hardware address %q: want 6 bytes, have %d", addr, len(addr))
	}
	if addr[0]&1 != 0 {
		return "", fmt.Errorf("read MAC address %s: it is a group address (its first byte is odd), which no single machine has", addr)
	}
	if [6]byte(addr) == [6]byte{} {
		return "", fmt.Errorf("read MAC address %s: no machine has the address of all zeros", addr)
	}
	return MAC(addr.String()), nil
}

// joinMACGroups removes the separators between groups of digits of equal width.
// It returns any other text unchanged; then the separators are left in it, so that
// it is not hexadecimal.
func joinMACGroups(text string) string {
	for _, sep := range []string{":", "-", "."} {
		groups := strings.Split(text, sep)
		if n := len(groups); n != 6 && n != 3 {
			continue
		}
		if sameWidth(groups, 12/len(groups)) {
			return strings.Join(groups, "")
		}
	}
	return text
}

func sameWidth(groups []string, width int) bool {
	for _, g := range groups {
		if len(g) != width {
			return false
		}
	}
	return true
}

// HardwareAddr returns the address as packets have it, or nil if m is not a valid
// address.
func (m MAC) HardwareAddr() net.HardwareAddr {
	addr, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return addr
}

// String returns the address in lower case with colons.
func (m MAC) String() string { return string(m) }

// MarshalText makes MAC an [encoding.TextMarshaler].
func (m MAC) MarshalText() ([]byte, error) { return []byte(m), nil }

// UnmarshalText reads every form that [ParseMAC] reads.
func (m *MAC) UnmarshalText(text []byte) error {
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// MachinesDir is the folder of a site that has a file for each machine.
const MachinesDir = "machines"

// File returns the path, in a site, of the file that describes the machine.
func (m MAC) File() string { return MachinesDir + "/" + string(m) + ".json" }

// File returns the path, in a site, of the file that describes the machine: its own, or
// that of its group.
func (s Spec) File() string { return cmp.Or(s.Group, s.MAC.File()) }
