package keys

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"cloudlets/images/jsontext"
)

// Network is one network that the server serves.
type Network struct {
	// Name is what people call it; unique, "lab".
	Name string
	// Interface is the network interface on which it is served, "eth1", "eth1.20"
	// or "br0". A network without one is reached through relay agents.
	Interface string
	// Subnet is its addresses, "10.0.0.0/24" or "fd77::/64". It is invalid only in
	// the short form of cloudlets.json; then the interface's address says it.
	Subnet netip.Prefix
	// DHCP is how addresses are given out.
	DHCP DHCPService
	// Router, DNS servers, NTP servers and Domain are told to the machines.
	Router   netip.Addr
	DNS, NTP []netip.Addr
	Domain   string
	// LeaseTime is how long an address is lent; 0 is the server's default.
	LeaseTime time.Duration
	// Options are further DHCP options.
	Options []DHCPOption
	// Metadata says that the server is the metadata service of the network's machines,
	// at [cloudinit.MetadataAddr].
	Metadata bool
}

// IsIPv6 says whether it is a network of IPv6.
func (n Network) IsIPv6() bool { return n.Subnet.Addr().Is6() }

// DHCPOption is a DHCP option as it is in a packet.
type DHCPOption struct {
	Code  uint8
	Value []byte
}

// Title is the network's name, or else its interface or its subnet.
func (n Network) Title() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Interface != "":
		return n.Interface
	}
	return n.Subnet.String()
}

// AddrRange is a range of addresses, both ends included.
type AddrRange struct{ First, Last netip.Addr }

func (r AddrRange) String() string { return r.First.String() + "-" + r.Last.String() }

func (r AddrRange) contains(a netip.Addr) bool { return !a.Less(r.First) && !r.Last.Less(a) }

// networkFields are the keys of a network. shared are those that cloudlets.json
// may have at its top, as what holds for all networks.
func networkFields() (table, shared fields[Network]) {
	shared = fields[Network]{
		"dns":       listField(func(n *Network, text string) error { return addAddr(&n.DNS, text) }).says("DNS servers that machines are told.", `[]`, `["10.0.0.53"]`),
		"ntp":       listField(func(n *Network, text string) error { return addAddr(&n.NTP, text) }).says("NTP servers that machines are told.", `[]`, `["10.0.0.54"]`),
		"domain":    textField(func(n *Network, v string) error { n.Domain = v; return checkHostname(v) }).says("The domain that machines are told.", `""`, `"lab.example"`),
		"leaseTime": textField(setLeaseTime).says("How long an address is lent.", "one hour", `"12h"`),
		"options":   valueField("object", setOptions).says("Further DHCP options, by name or by number.", `{}`, `{"interface-mtu": 9000, "150": "10.0.0.9", "224": "hex:01ff"}`),
	}
	table = fields[Network]{
		"description": description[Network](),
		"name":        plainText(func(n *Network) *string { return &n.Name }).says("What people call the network.", "its interface, or its subnet", `"lab"`),
		"interface":   plainText(func(n *Network) *string { return &n.Interface }).says("The interface on which it is served.", "none: packets come through relays", `"eth1.20"`),
		"subnet":      textField(setSubnet).says("Its addresses.", "", `"10.0.0.0/24"`),
		"pool":        valueField("text, or list of texts", setPool).says("The addresses to give out; an empty list serves only machines that have one reserved.", "", `"10.0.0.100-10.0.0.200"`),
		"dhcp": choiceField(func(n *Network, text string) { n.DHCP = DHCPService{Off: text == "off", Proxy: text == "proxy"} }, "proxy", "off").
			says("In place of a pool: boot information beside another DHCP server, or no DHCP.", "", `"proxy"`),
		"router":   textField(func(n *Network, text string) (err error) { n.Router, err = parseIPv4(text); return err }).says("The router that machines are told.", "none", `"10.0.0.254"`),
		"metadata": boolField(func(n *Network, v bool) { n.Metadata = v }).says("Whether the server answers cloud-init's questions at 169.254.169.254, too.", `false`, `true`),
	}
	maps.Copy(table, shared)
	return table, shared
}

// networksField reads the list of networks.
func networksField() field[Settings] {
	table, _ := networkFields()
	return valueField("list of objects", func(dst *Settings, n *jsontext.Node) (problems jsontext.Problems) {
		if !n.IsArray() || len(n.Elements()) == 0 {
			return Wants(n, "a list […] of networks, at least one")
		}
		for _, element := range n.Elements() {
			var network Network
			wrong := decodeObject(&network, element, table)
			if len(wrong) == 0 {
				wrong = refused(element, network.check(element, dst.Networks))
			}
			problems = append(problems, wrong...)
			dst.Networks = append(dst.Networks, network)
		}
		return problems
	}).with(table.inList())
}

// check refuses a network whose values do not go together, or not with those of
// the networks before it.
func (n Network) check(node *jsontext.Node, before []Network) error {
	_, pool := node.Member("pool")
	_, service := node.Member("dhcp")
	switch {
	case !n.Subnet.IsValid():
		return fmt.Errorf("the network %q has no \"subnet\"; want one such as \"10.0.0.0/24\"", n.Title())
	case pool == service:
		return fmt.Errorf("the network %s needs either \"pool\", the addresses to give out, or \"dhcp\": \"proxy\" or \"off\"", n.Title())
	case n.DHCP.Off && n.Interface == "":
		return fmt.Errorf("the network %s has no \"interface\" and its DHCP is off, so nothing would be served; take it out, or give it a \"pool\"", n.Title())
	case n.IsIPv6() && n.Router.IsValid():
		return fmt.Errorf("the network %s is one of IPv6, where the router tells of itself by router advertisements; leave \"router\" out", n.Title())
	case n.IsIPv6() && n.Options != nil:
		return fmt.Errorf("\"options\" are options of DHCPv4, and the network %s is one of IPv6; leave them out", n.Title())
	case n.Router.IsValid() && !n.Subnet.Contains(n.Router):
		return fmt.Errorf("the router %s is not in %s, so machines of the network %s could not reach it", n.Router, n.Subnet, n.Title())
	}
	if err := errors.Join(n.checkFamily(), n.checkMetadata()); err != nil {
		return err
	}
	for i, r := range n.DHCP.Pool {
		if !n.Subnet.Contains(r.First) || !n.Subnet.Contains(r.Last) {
			return fmt.Errorf("the pool %s is not within the subnet %s of the network %s", r, n.Subnet, n.Title())
		}
		for _, other := range n.DHCP.Pool[:i] {
			if r.contains(other.First) || other.contains(r.First) {
				return fmt.Errorf("the ranges %s and %s of the network %s overlap; make one of them", other, r, n.Title())
			}
		}
	}
	for _, other := range before {
		switch {
		case other.Title() == n.Title():
			return fmt.Errorf("two networks are called %q; give each a \"name\" of its own", n.Title())
		case other.Interface == n.Interface && n.Interface != "" && other.IsIPv6() == n.IsIPv6():
			return fmt.Errorf("the networks %s and %s are both on the interface %s, where nothing tells their machines apart; use VLANs, or one larger subnet", other.Title(), n.Title(), n.Interface)
		case other.Subnet.Overlaps(n.Subnet):
			return fmt.Errorf("the subnets %s of %s and %s of %s overlap", other.Subnet, other.Title(), n.Subnet, n.Title())
		}
	}
	return nil
}

// checkFamily refuses servers that the network's machines cannot reach by its own
// protocol, and a pool of IPv6 that is too large to be counted.
func (n Network) checkFamily() error {
	for _, a := range slices.Concat(n.DNS, n.NTP) {
		if a.Is6() != n.IsIPv6() {
			return fmt.Errorf("the server %s cannot be told to machines of the network %s, %s: it is an address of the other protocol", a, n.Title(), n.Subnet)
		}
	}
	for _, r := range n.DHCP.Pool {
		if n.IsIPv6() && !netip.PrefixFrom(r.First, 64).Masked().Contains(r.Last) {
			return fmt.Errorf("the pool %s of the network %s spans several subnets of 64 bits; choose a range within one", r, n.Title())
		}
	}
	return nil
}

// ofFamily are the addresses of one protocol.
func ofFamily(all []netip.Addr, ipv6 bool) (list []netip.Addr) {
	for _, a := range all {
		if a.Is6() == ipv6 {
			list = append(list, a)
		}
	}
	return list
}

// completeNetworks gives networks what cloudlets.json says for all of them, and
// refuses the keys of the short form beside the long one.
func (s *Settings) completeNetworks(root *jsontext.Node) (problems jsontext.Problems) {
	if len(s.Networks) == 0 {
		return nil
	}
	for _, key := range []string{"interface", "dhcp", "router", "metadata"} {
		if m, there := root.Member(key); there {
			problems = append(problems, m.Place().Problem("%q is for one network, and there are \"networks\"; write it in one of them", key))
		}
	}
	for i := range s.Networks {
		n := &s.Networks[i]
		if n.DNS == nil {
			n.DNS = ofFamily(s.DNS, n.IsIPv6())
		}
		if n.NTP == nil {
			n.NTP = ofFamily(s.NTP, n.IsIPv6())
		}
		if n.Domain == "" {
			n.Domain = s.Domain
		}
		if n.LeaseTime == 0 {
			n.LeaseTime = s.LeaseTime
		}
		for _, o := range s.Options {
			if !n.IsIPv6() && !slices.ContainsFunc(n.Options, func(own DHCPOption) bool { return own.Code == o.Code }) {
				n.Options = append(n.Options, o)
			}
		}
		problems = append(problems, refused(root, n.checkMetadata())...) // with the common options
	}
	return problems
}

// Served are the networks to serve: those of "networks", or the one of the short
// form.
func (s Settings) Served() []Network {
	if len(s.Networks) > 0 {
		return s.Networks
	}
	return []Network{s.Network}
}

func setSubnet(n *Network, text string) error {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p.Bits() == 0 {
		return fmt.Errorf("%q is not a subnet; want one such as \"10.0.0.0/24\" or \"fd77::/64\"", text)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q is an address in a subnet; the subnet is %q", text, p.Masked())
	}
	n.Subnet = p
	return nil
}

// setPool reads one range, or a list of ranges. An empty list gives addresses only to
// machines whose files reserve one.
func setPool(n *Network, node *jsontext.Node) (problems jsontext.Problems) {
	add := func(n *Network, text string) error {
		r, err := parseRange(text)
		n.DHCP.Pool = append(n.DHCP.Pool, r)
		return err
	}
	if node.IsArray() {
		return listField(add).read(n, node)
	}
	return textField(add).read(n, node)
}

func addAddr(list *[]netip.Addr, text string) error {
	addr, err := parseAddr(text)
	*list = append(*list, addr)
	return err
}
