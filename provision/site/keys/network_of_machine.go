package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"cloudlets/images/jsontext"
	"cloudlets/images/lazyregexp"
	"cloudlets/provision"
)

// maxNetworkList bounds each list in a machine's "network".
const maxNetworkList = 64

// setMachineNetwork reads the network of the installed system.
func setMachineNetwork(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Network = &provision.Network{}
	problems := decodeObject(s.Network, n, machineNetworkFields())
	if len(problems) > 0 {
		return problems
	}
	if len(s.Network.Interfaces) == 0 {
		return jsontext.Problems{n.Problem(`the network has no "interfaces"; want one such as {"mac": "52:54:00:12:34:56", "dhcp": true}`)}
	}
	return checkMachineNetwork(s.Network, n.Child("interfaces").Elements())
}

var machineNetworkFields = sync.OnceValue(func() fields[provision.Network] {
	return fields[provision.Network]{
		"renderer": choiceField(func(n *provision.Network, name string) { n.Renderer = provision.Renderer(name) },
			string(provision.Networkd), string(provision.NetworkManager), string(provision.Ifupdown), string(provision.NoRenderer)).
			says("The program of the image that gets the configuration.", "the one that the image has", `"networkd"`),
		"interfaces": listOf(interfaceFields(), func(dst *provision.Network) *[]provision.Interface { return &dst.Interfaces }).
			says("The interfaces; at least one.", "", `[{"mac": "52:54:00:12:34:56", "dhcp": true}]`),
		"dns":    listField(func(dst *provision.Network, text string) error { return addUnique(&dst.DNS, text, parseHostAddr) }).says("DNS servers.", `[]`, `["10.0.0.53"]`),
		"search": listField(func(dst *provision.Network, text string) error { return addUnique(&dst.Search, text, parseDomain) }).says("Domains that complete short names.", `[]`, `["lab.example"]`),
	}
})

// listOf reads a list of objects by the table of their keys.
func listOf[T, U any](table fields[U], to func(dst *T) *[]U) field[T] {
	return valueField("list of objects", func(dst *T, n *jsontext.Node) (problems jsontext.Problems) {
		switch {
		case !n.IsArray():
			return Wants(n, "a list […] of objects {…}")
		case len(n.Elements()) > maxNetworkList:
			return jsontext.Problems{n.Problem("the list has %d elements; at most %d are allowed", len(n.Elements()), maxNetworkList)}
		}
		for _, element := range n.Elements() {
			var one U
			problems = append(problems, decodeObject(&one, element, table)...)
			*to(dst) = append(*to(dst), one)
		}
		return problems
	}).with(table.inList())
}

func interfaceFields() fields[provision.Interface] {
	return fields[provision.Interface]{
		"description": description[provision.Interface](),
		"mac": textField(func(i *provision.Interface, text string) (err error) {
			i.MAC, err = provision.ParseMAC(text)
			return err
		}).says("The card that the interface is, for one that is a card.", `none`, `"52:54:00:12:34:56"`),
		"name": textField(setInterfaceName).says("The interface's name; a card that has none keeps what the system calls it.", "none", `"lan0"`),
		"bond": valueField("object", func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.Bond = newBond()
			return decodeObject(i.Bond, n, bondFields())
		}).with(bondFields().keys(*newBond())).says("Makes it a bond of several cards.", "none", `{"members": ["52:54:00:12:34:56", "52:54:00:12:34:57"], "mode": "802.3ad"}`),
		"vlan": valueField("object", func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.VLAN = &provision.VLAN{}
			return decodeObject(i.VLAN, n, vlanFields())
		}).with(vlanFields().keys(provision.VLAN{})).says("Makes it a VLAN on another interface.", "none", `{"id": 20, "of": "bond0"}`),
		"bridge": valueField("object", func(i *provision.Interface, n *jsontext.Node) jsontext.Problems {
			i.Bridge = &provision.Bridge{}
			return decodeObject(i.Bridge, n, bridgeFields())
		}).with(bridgeFields().keys(provision.Bridge{})).says("Makes it a bridge of other interfaces.", "none", `{"members": ["bond0"]}`),
		"mtu":  wholeField(68, 65535, func(i *provision.Interface) *int { return &i.MTU }).says("The largest packet in bytes.", "the system's", `9000`),
		"dhcp": boolField(func(i *provision.Interface, v bool) { i.DHCP = v }).says("Whether it asks by DHCP.", `false`, `true`),
		"addresses": listField(func(i *provision.Interface, text string) error {
			return addUnique(&i.Addresses, text, parseHostPrefix)
		}).says("Its addresses, each with the length of its subnet's prefix.", `[]`, `["10.20.0.11/24"]`),
		"routes": listOf(routeFields(), func(i *provision.Interface) *[]provision.Route { return &i.Routes }).
			says("Routes by way of this interface.", `[]`, `[{"to": "0.0.0.0/0", "via": "10.20.0.1"}]`),
	}
}

// newBond is a bond of which a file says nothing yet.
func newBond() *provision.Bond { return &provision.Bond{Mode: "active-backup"} }

func bondFields() fields[provision.Bond] {
	return fields[provision.Bond]{
		"members": listField(func(b *provision.Bond, text string) error { return addUnique(&b.Members, text, provision.ParseMAC) }).
			says("The cards of the bond.", `[]`, `["52:54:00:12:34:56", "52:54:00:12:34:57"]`),
		"mode": choiceField(func(b *provision.Bond, text string) { b.Mode = text },
			"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb").
			says("How the cards share the work.", `"active-backup"`, `"802.3ad"`),
	}
}

func vlanFields() fields[provision.VLAN] {
	return fields[provision.VLAN]{
		"id": wholeField(1, 4094, func(v *provision.VLAN) *int { return &v.ID }).says("The VLAN's number.", "", `20`),
		"of": textField(func(v *provision.VLAN, text string) (err error) { v.Of, err = parseReference(text); return err }).
			says("The interface that carries it: a name, or a card's MAC address.", "", `"bond0"`),
	}
}

func bridgeFields() fields[provision.Bridge] {
	return fields[provision.Bridge]{
		"members": listField(func(b *provision.Bridge, text string) error { return addUnique(&b.Members, text, parseReference) }).
			says("The interfaces in the bridge: names, or MAC addresses of cards.", `[]`, `["52:54:00:12:34:57"]`),
	}
}

func routeFields() fields[provision.Route] {
	return fields[provision.Route]{
		"to": textField(func(r *provision.Route, text string) (err error) { r.To, err = parseDestination(text); return err }).
			says("Where the route leads.", "", `"10.0.0.0/8"`),
		"via": textField(func(r *provision.Route, text string) (err error) { r.Via, err = parseHostAddr(text); return err }).
			says("The router.", "", `"10.20.0.1"`),
	}
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
var interfaceName = lazyregexp.New(`^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$`)

// cardName matches names that Linux or udev give to network cards.
var cardName = lazyregexp.New(`^(lo|all|default|eth[0-9]+|en[opsx][0-9a-zA-Z]*|wl[a-z0-9]+)$`)

func setInterfaceName(i *provision.Interface, name string) (err error) {
	i.Name, err = parseInterfaceName(name)
	return err
}

func parseInterfaceName(name string) (string, error) {
	if !interfaceName().MatchString(name) {
		return "", fmt.Errorf("%s is not the name of an interface; want a letter and then at most 14 letters, digits, dots, hyphens or underscores", jsontext.Quoted(name))
	}
	if cardName().MatchString(name) {
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
