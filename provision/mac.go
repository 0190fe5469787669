package provision

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
)

// ParseMAC reads a hardware address as people and programs write it:
// "52:54:00:12:34:56", "52-54-00-12-34-56", "5254.0012.3456" or
// "525400123456", in either case. It refuses what cannot be the address of one
// machine: group addresses, and the address of all zeros.
func ParseMAC(text string) (MAC, error) {
	raw, err := hex.DecodeString(joinMACGroups(text))
	if err != nil || len(raw) != 6 {
		return "", fmt.Errorf("parse %q as a MAC address: want six bytes in hexadecimal, such as 52:54:00:12:34:56", text)
	}
	return MACFrom(raw)
}

// MACFrom is the [MAC] of a hardware address as packets carry it.
func MACFrom(addr net.HardwareAddr) (MAC, error) {
	if len(addr) != 6 {
		return "", fmt.Errorf("read hardware address %q: want 6 bytes, have %d", addr, len(addr))
	}
	if addr[0]&1 != 0 {
		return "", fmt.Errorf("read MAC address %s: it is a group address (its first byte is odd), which no single machine has", addr)
	}
	if [6]byte(addr) == [6]byte{} {
		return "", fmt.Errorf("read MAC address %s: all zeros is the address of no machine", addr)
	}
	return MAC(addr.String()), nil
}

// joinMACGroups takes the separators out of equal groups of digits. What is
// grouped in no usual way comes back as it is, and is no hexadecimal.
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

// HardwareAddr is the address as packets carry it, or nil where m is not one.
func (m MAC) HardwareAddr() net.HardwareAddr {
	addr, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return addr
}

// String is the address in lower case with colons.
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

// File is where a site describes the machine.
func (m MAC) File() string { return MachinesDir + "/" + string(m) + ".json" }
