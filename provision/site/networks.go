package site

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
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
	// Subnet is its addresses, "10.0.0.0/24". It is invalid only in the short
	// form of cloudlets.json; then the interface's address says it.
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
}

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
func networkFields() (table, shared map[string]field[Network]) {
	shared = map[string]field[Network]{
		"dns":       listField(func(n *Network, text string) error { return addAddr(&n.DNS, text) }),
		"ntp":       listField(func(n *Network, text string) error { return addAddr(&n.NTP, text) }),
		"domain":    textField(func(n *Network, v string) error { n.Domain = v; return checkHostname(v) }),
		"leaseTime": textField(setLeaseTime),
		"options":   setOptions,
	}
	table = map[string]field[Network]{
		"description": ignored[Network](),
		"name":        plainText(func(n *Network) *string { return &n.Name }),
		"interface":   plainText(func(n *Network) *string { return &n.Interface }),
		"subnet":      textField(setSubnet),
		"pool":        setPool,
		"dhcp":        textField(setNetworkDHCP),
		"router":      textField(func(n *Network, text string) (err error) { n.Router, err = parseIPv4(text); return err }),
	}
	for key, f := range shared {
		table[key] = f
	}
	return table, shared
}

// networksField reads the list of networks.
func networksField(dst *Settings, n *jsontext.Node) (problems jsontext.Problems) {
	if !n.IsArray() || len(n.Elements()) == 0 {
		return wants(n, "a list […] of networks, at least one")
	}
	table, _ := networkFields()
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
	case n.Router.IsValid() && !n.Subnet.Contains(n.Router):
		return fmt.Errorf("the router %s is not in %s, so machines of the network %s could not reach it", n.Router, n.Subnet, n.Title())
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
		case other.Interface == n.Interface && n.Interface != "":
			return fmt.Errorf("the networks %s and %s are both on the interface %s, where nothing tells their machines apart; use VLANs, or one larger subnet", other.Title(), n.Title(), n.Interface)
		case other.Subnet.Overlaps(n.Subnet):
			return fmt.Errorf("the subnets %s of %s and %s of %s overlap", other.Subnet, other.Title(), n.Subnet, n.Title())
		}
	}
	return nil
}

// completeNetworks gives networks what cloudlets.json says for all of them, and
// refuses the keys of the short form beside the long one.
func (s *Settings) completeNetworks(root *jsontext.Node) (problems jsontext.Problems) {
	if len(s.Networks) == 0 {
		return nil
	}
	for _, key := range []string{"interface", "dhcp", "router"} {
		if m, there := root.Member(key); there {
			problems = append(problems, m.Place().Problem("%q is for one network, and there are \"networks\"; write it in one of them", key))
		}
	}
	for i := range s.Networks {
		n := &s.Networks[i]
		if n.DNS == nil {
			n.DNS = s.DNS
		}
		if n.NTP == nil {
			n.NTP = s.NTP
		}
		if n.Domain == "" {
			n.Domain = s.Domain
		}
		if n.LeaseTime == 0 {
			n.LeaseTime = s.LeaseTime
		}
		for _, o := range s.Options {
			if !slices.ContainsFunc(n.Options, func(own DHCPOption) bool { return own.Code == o.Code }) {
				n.Options = append(n.Options, o)
			}
		}
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
	if err != nil || !p.Addr().Is4() || p.Bits() == 0 {
		return fmt.Errorf("%q is not an IPv4 subnet; want one such as \"10.0.0.0/24\"", text)
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
		return listField(add)(n, node)
	}
	return textField(add)(n, node)
}

func setNetworkDHCP(n *Network, text string) error {
	n.DHCP = DHCPService{Off: text == "off", Proxy: text == "proxy"}
	return oneOf(text, "proxy", "off")
}

func addAddr(list *[]netip.Addr, text string) error {
	addr, err := parseIPv4(text)
	*list = append(*list, addr)
	return err
}

// optionKind is how the value of a DHCP option is written.
type optionKind uint8

const (
	guessed optionKind = iota // an address or several, or else a text
	text
	addrs
	uint8s  // a number of one byte
	uint16s // of two bytes
	uint32s // of four bytes
	flag    // true or false
)

// dhcpOptions are the options that have a name (RFC 2132, RFC 3397, RFC 4833, RFC
// 5859).
var dhcpOptions = map[string]struct {
	code uint8
	kind optionKind
}{
	"time-offset": {2, uint32s}, "log-servers": {7, addrs}, "lpr-servers": {9, addrs},
	"root-path": {17, text}, "ip-forwarding": {19, flag}, "default-ttl": {23, uint8s}, "interface-mtu": {26, uint16s},
	"static-routes": {33, addrs}, "nis-domain": {40, text}, "nis-servers": {41, addrs},
	"netbios-name-servers": {44, addrs}, "netbios-node-type": {46, uint8s}, "smtp-server": {69, addrs},
	"posix-timezone": {100, text}, "tz-database": {101, text}, "tftp-server-address": {150, addrs}, "wpad": {252, text},
}

// setOptions reads an object of options, by name or by number.
func setOptions(n *Network, node *jsontext.Node) (problems jsontext.Problems) {
	if !node.IsObject() {
		return wants(node, `an object of options, such as {"interface-mtu": 1500, "150": "10.0.0.1"}`)
	}
	for _, m := range node.Members() {
		code, kind, err := optionNamed(m.Name)
		var value []byte
		if err == nil {
			value, err = optionValue(kind, m.Value)
		}
		if err == nil && (len(value) == 0 || len(value) > 255) {
			err = errors.New("want a value of 1 to 255 bytes")
		}
		problems = append(problems, refused(m.Value, err)...)
		n.Options = append(n.Options, DHCPOption{code, value})
	}
	return problems
}

func optionNamed(name string) (uint8, optionKind, error) {
	if known, ok := dhcpOptions[name]; ok {
		return known.code, known.kind, nil
	}
	code, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		names := make([]string, 0, len(dhcpOptions))
		for known := range dhcpOptions {
			names = append(names, known)
		}
		return 0, guessed, fmt.Errorf("%q is no DHCP option that is known by name%s; or give its number, such as \"150\"", name, jsontext.DidYouMean(name, names))
	}
	if ownOptions[uint8(code)] {
		return 0, guessed, fmt.Errorf("the server itself decides about option %d; \"router\", \"dns\", \"ntp\", \"domain\", \"leaseTime\" and the machine's file say what is in such options", code)
	}
	for _, known := range dhcpOptions {
		if known.code == uint8(code) {
			return known.code, known.kind, nil
		}
	}
	return uint8(code), guessed, nil
}

// ownOptions are those that the DHCP server itself decides about.
var ownOptions = func() map[uint8]bool {
	own := map[uint8]bool{}
	for _, code := range []uint8{0, 1, 3, 6, 12, 15, 28, 42, 43, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 67, 77, 82, 93, 94, 97, 118, 175, 255} {
		own[code] = true
	}
	return own
}()

// optionValue makes the bytes of an option. A text that begins with "hex:" has them
// as they are.
func optionValue(kind optionKind, n *jsontext.Node) ([]byte, error) {
	if number, ok := n.Number(); ok {
		return numberValue(kind, number)
	}
	if value, ok := n.Bool(); ok && kind == flag {
		if value {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	}
	if n.IsArray() && (kind == addrs || kind == guessed) {
		var all []byte
		for _, element := range n.Elements() {
			one, _ := element.Text()
			addr, err := parseIPv4(one)
			if err != nil {
				return nil, err
			}
			all = append(all, addr.AsSlice()...)
		}
		return all, nil
	}
	value, ok := n.Text()
	if !ok {
		return nil, fmt.Errorf("%s is no value of this option; want a text, an address or a list of addresses, a number, or \"hex:…\"", n.Show())
	}
	if digits, isHex := strings.CutPrefix(value, "hex:"); isHex {
		return hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	}
	addr, err := parseIPv4(value)
	switch {
	case err == nil && (kind == addrs || kind == guessed):
		return addr.AsSlice(), nil
	case kind == text || kind == guessed:
		return []byte(value), checkPlain(value)
	}
	return nil, fmt.Errorf("%q is no value of this option; want an address, a number, true or false, or \"hex:…\", as the option has it", value)
}

// numberValue writes a number in the option's own size, in network byte order.
func numberValue(kind optionKind, number json.Number) ([]byte, error) {
	size := map[optionKind]int{uint8s: 1, uint16s: 2, uint32s: 4}[kind]
	if size == 0 {
		return nil, fmt.Errorf("how many bytes the number %s has is not known for this option; write them as \"hex:…\"", number)
	}
	v, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || v >= 1<<(8*size) || v < -(1<<(8*size-1)) {
		return nil, fmt.Errorf("%s is no whole number of %d bytes", number, size)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * (size - 1 - i)))
	}
	return b, nil
}
