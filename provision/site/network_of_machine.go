package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// maxNetworkList bounds each list in a machine's "network".
const maxNetworkList = 64

// setMachineNetwork reads the network of the installed system.
func setMachineNetwork(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Network = &provision.Network{}
	problems := decodeObject(s.Network, n, map[string]field[provision.Network]{
		"renderer": textField(setRenderer),
		"interfaces": listOf(interfaceFields(), func(dst *provision.Network) *[]provision.Interface {
			return &dst.Interfaces
		}),
		"dns":    listField(func(dst *provision.Network, text string) error { return addUnique(&dst.DNS, text, parseHostAddr) }),
		"search": listField(func(dst *provision.Network, text string) error { return addUnique(&dst.Search, text, parseDomain) }),
	})
	if len(problems) > 0 {
		return problems
	}
	if len(s.Network.Interfaces) == 0 {
		return jsontext.Problems{n.Problem(`the network has no "interfaces"; want one such as {"mac": "52:54:00:12:34:56", "dhcp": true}`)}
	}
	return checkMachineNetwork(s.Network, n.Child("interfaces").Elements())
}

// listOf reads a list of objects by the table of their keys.
func listOf[T, U any](table map[string]field[U], to func(dst *T) *[]U) field[T] {
	return func(dst *T, n *jsontext.Node) (problems jsontext.Problems) {
		switch {
		case !n.IsArray():
			return wants(n, "a list […] of objects {…}")
		case len(n.Elements()) > maxNetworkList:
			return jsontext.Problems{n.Problem("the list has %d elements; at most %d are allowed", len(n.Elements()), maxNetworkList)}
		}
		for _, element := range n.Elements() {
			var one U
			problems = append(problems, decodeObject(&one, element, table)...)
			*to(dst) = append(*to(dst), one)
		}
		return problems
	}
}

func interfaceFields() map[string]field[provision.Interface] {
	return map[string]field[provision.Interface]{
		"description": ignored[provision.Interface](),
		"mac": textField(func(i *provision.Interface, text string) (err error) {
			i.MAC, err = provision.ParseMAC(text)
			return err
		}),
		"name": textField(setInterfaceName),
		"bond": func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.Bond = &provision.Bond{Mode: "active-backup"}
			return decodeObject(i.Bond, n, bondFields())
		},
		"vlan": func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.VLAN = &provision.VLAN{}
			return decodeObject(i.VLAN, n, vlanFields())
		},
		"bridge": func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.Bridge = &provision.Bridge{}
			return decodeObject(i.Bridge, n, map[string]field[provision.Bridge]{
				"members": listField(func(b *provision.Bridge, text string) error { return addUnique(&b.Members, text, parseReference) }),
			})
		},
		"mtu":  wholeField(68, 65535, func(i *provision.Interface) *int { return &i.MTU }),
		"dhcp": boolField(func(i *provision.Interface, v bool) { i.DHCP = v }),
		"addresses": listField(func(i *provision.Interface, text string) error {
			return addUnique(&i.Addresses, text, parseHostPrefix)
		}),
		"routes": listOf(routeFields(), func(i *provision.Interface) *[]provision.Route { return &i.Routes }),
	}
}

func bondFields() map[string]field[provision.Bond] {
	return map[string]field[provision.Bond]{
		"members": listField(func(b *provision.Bond, text string) error { return addUnique(&b.Members, text, provision.ParseMAC) }),
		"mode": textField(func(b *provision.Bond, text string) error {
			b.Mode = text
			return oneOf(text, "balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
		}),
	}
}

func vlanFields() map[string]field[provision.VLAN] {
	return map[string]field[provision.VLAN]{
		"id": wholeField(1, 4094, func(v *provision.VLAN) *int { return &v.ID }),
		"of": textField(func(v *provision.VLAN, text string) (err error) { v.Of, err = parseReference(text); return err }),
	}
}

func routeFields() map[string]field[provision.Route] {
	return map[string]field[provision.Route]{
		"to":  textField(func(r *provision.Route, text string) (err error) { r.To, err = parseDestination(text); return err }),
		"via": textField(func(r *provision.Route, text string) (err error) { r.Via, err = parseHostAddr(text); return err }),
	}
}

func setRenderer(n *provision.Network, name string) error {
	n.Renderer = provision.Renderer(name)
	return oneOf(name, string(provision.Networkd), string(provision.NetworkManager), string(provision.Ifupdown), string(provision.NoRenderer))
}

// wholeField reads a whole number within bounds, both included.
func wholeField[T any](low, high int, to func(dst *T) *int) field[T] {
	what := fmt.Sprintf("a whole number from %d to %d", low, high)
	return numberField(what, func(dst *T, number json.Number) error {
		v, err := strconv.Atoi(number.String())
		if err != nil || v < low || v > high {
			return fmt.Errorf("want %s, have %.20s", what, number)
		}
		*to(dst) = v
		return nil
	})
}

// addUnique reads a text and appends what it means to a list, once.
func addUnique[T comparable](list *[]T, text string, parse func(string) (T, error)) error {
	value, err := parse(text)
	switch {
	case err != nil:
		return err
	case slices.Contains(*list, value):
		return fmt.Errorf("%v is in the list already", value)
	case len(*list) == maxNetworkList:
		return fmt.Errorf("the list may have at most %d elements", maxNetworkList)
	}
	*list = append(*list, value)
	return nil
}

// interfaceName is what Linux and all renderers accept as the name of an interface:
// at most 15 bytes, and nothing that a shell or a file's name would mistake.
var interfaceName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$`)

// cardName matches names that Linux or udev give to network cards.
var cardName = regexp.MustCompile(`^(lo|all|default|eth[0-9]+|en[opsx][0-9a-zA-Z]*|wl[a-z0-9]+)$`)

func setInterfaceName(i *provision.Interface, name string) (err error) {
	i.Name, err = parseInterfaceName(name)
	return err
}

func parseInterfaceName(name string) (string, error) {
	if !interfaceName.MatchString(name) {
		return "", fmt.Errorf("%s is not the name of an interface; want a letter and then at most 14 letters, digits, dots, hyphens or underscores", jsontext.Quoted(name))
	}
	if cardName.MatchString(name) {
		return "", fmt.Errorf(`%q is a name that the system gives to a card by itself, and may give to another one later; write the card's address, "mac": "52:54:00:12:34:56"`, name)
	}
	return name, nil
}

// parseReference reads what another interface is called: a MAC in its usual form,
// or a name.
func parseReference(text string) (string, error) {
	if mac, err := provision.ParseMAC(text); err == nil {
		return string(mac), nil
	}
	return parseInterfaceName(text)
}

func parseDomain(name string) (string, error) {
	if name == "" {
		return "", errors.New(`an empty domain completes nothing; want one such as "lab.example"`)
	}
	return name, checkHostname(name)
}

// parseHostAddr reads an address of either version that a host can have.
func parseHostAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || addr.Zone() != "" || addr.Is4In6():
		return addr, fmt.Errorf("%s is not an IP address; want one such as 10.0.0.1 or fd00::1", jsontext.Quoted(text))
	case addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return addr, fmt.Errorf("%s is an address that no host on a network can have", addr)
	}
	return addr, nil
}

// parseHostPrefix reads an address of a host with the length of its subnet's prefix.
func parseHostPrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Bits() == 0 {
		return p, fmt.Errorf("%s is not an address with the length of its subnet's prefix; want one such as 10.0.0.5/24", jsontext.Quoted(text))
	}
	if _, err := parseHostAddr(p.Addr().String()); err != nil || p.Addr().IsLoopback() {
		return p, fmt.Errorf("%s is an address that no host on a network can have", p.Addr())
	}
	if p.Addr().Is4() && p.Bits() < 31 && (p.Addr() == p.Masked().Addr() || p.Addr() == lastOf(p)) {
		return p, fmt.Errorf("%s is the first or the last address of the subnet %s, which no host can have", p.Addr(), p.Masked())
	}
	return p, nil
}

// lastOf is the last address of an IPv4 subnet, its broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

func parseDestination(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is not a subnet; want one such as 10.0.0.0/8, or 0.0.0.0/0 for all others", jsontext.Quoted(text))
	case p != p.Masked():
		return p, fmt.Errorf("%s is an address in a subnet; the subnet is %s", p, p.Masked())
	}
	return p, nil
}
