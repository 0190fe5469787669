package keys

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

func setHostname(s *provision.Spec, name string) error {
	if err := checkHostname(name); err != nil {
		return err
	}
	s.Hostname = name
	return nil
}

// checkHostname holds a name to RFC 1123 section 2.1.
func checkHostname(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > 253 {
		return fmt.Errorf("hostname %.20q… is longer than 253 bytes", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isHostLabel(label) {
			return fmt.Errorf("%q is not a hostname; want letters, digits and hyphens, in parts of 1 to 63 joined by dots", name)
		}
	}
	return nil
}

func isHostLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// setAddresses reads an address, or a list with one for each network.
func setAddresses(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Address, s.MoreAddresses = netip.Addr{}, nil
	if n.IsArray() {
		return listField(addAddress).read(s, n)
	}
	if text, ok := n.Text(); ok && text == "" {
		return nil
	}
	return textField(addAddress).read(s, n)
}

func addAddress(s *provision.Spec, text string) error {
	addr, err := parseAddr(text)
	switch {
	case err != nil:
		return err
	case addr == s.Address || slices.Contains(s.MoreAddresses, addr):
		return fmt.Errorf("%s is in the list already", addr)
	case !s.Address.IsValid():
		s.Address = addr
	default:
		s.MoreAddresses = append(s.MoreAddresses, addr)
	}
	return nil
}

// parseAddr reads an address of IPv4 or IPv6 that a host on a network can have.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || !addr.Is6():
		return parseIPv4(text)
	case addr.Is4In6() || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr.IsLinkLocalUnicast():
		return netip.Addr{}, fmt.Errorf("%s is not an address that DHCPv6 gives to a host; want one such as fd77::21", addr)
	}
	return addr, nil
}

// parseIPv4 reads an address that a host can have.
func parseIPv4(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || !addr.Is4():
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address; want one such as 10.0.0.21, without a prefix length", text)
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return netip.Addr{}, fmt.Errorf("%s is an address that no host on a network can have", addr)
	}
	return addr, nil
}
