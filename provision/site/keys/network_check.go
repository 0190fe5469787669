package keys

import (
	"net/netip"
	"strconv"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// networkCheck holds the interfaces of a machine's network to each other.
type networkCheck struct {
	interfaces []provision.Interface
	nodes      []*jsontext.Node // where each was written
	byID       map[string]int
	master     map[string]string // what is in a bond or a bridge: in which
	problems   jsontext.Problems
}

// checkMachineNetwork tells what does not go together in a network whose values are
// each right. nodes are the interfaces in the file.
func checkMachineNetwork(n *provision.Network, nodes []*jsontext.Node) jsontext.Problems {
	c := networkCheck{interfaces: n.Interfaces, nodes: nodes, byID: map[string]int{}, master: map[string]string{}}
	for i, one := range c.interfaces {
		c.kind(i, one)
		c.identity(i, one)
	}
	if len(c.problems) > 0 {
		return c.problems // what follows would only be echoes
	}
	for i, one := range c.interfaces {
		c.members(i, one)
	}
	c.addresses()
	for i, one := range c.interfaces {
		c.vlan(i, one)
		c.routes(i, one)
		c.member(i, one)
		if one.MTU != 0 && one.MTU < 1280 && hasIPv6(one) {
			c.wrong(i, []string{"mtu"}, "IPv6 needs packets of 1280 bytes at least (RFC 8200 section 5), and the MTU is %d", one.MTU)
		}
	}
	return c.problems
}

// wrong adds a problem of an interface, at the place of one of its keys.
func (c *networkCheck) wrong(i int, at []string, format string, args ...any) {
	c.problems = append(c.problems, c.nodes[i].Locate(at...).Problem(format, args...))
}

// kind checks that an interface is a card or one of the others, and not both.
func (c *networkCheck) kind(i int, one provision.Interface) {
	kinds := 0
	for _, there := range []bool{one.Bond != nil, one.VLAN != nil, one.Bridge != nil} {
		if there {
			kinds++
		}
	}
	switch {
	case one.MAC == "" && one.Name == "":
		c.wrong(i, nil, `the interface has neither "mac", as a card has, nor "name", as a bond, a VLAN or a bridge has`)
	case one.MAC != "" && (one.Name != "" || kinds > 0):
		c.wrong(i, []string{"mac"}, `a card is known by its "mac" alone: it has no "name", and is no bond, VLAN or bridge; these have a "name" and no "mac"`)
	case one.Name != "" && kinds != 1:
		c.wrong(i, []string{"name"}, `the interface %s has to be one of "bond", "vlan" and "bridge"; a card is known by its "mac"`, one.Name)
	case one.Bond != nil && len(one.Bond.Members) == 0:
		c.wrong(i, []string{"bond"}, `the bond %s has no "members"; want the addresses of its cards`, one.Name)
	case one.Bridge != nil && len(one.Bridge.Members) == 0:
		c.wrong(i, []string{"bridge"}, `the bridge %s has no "members"; want addresses of cards, or names of bonds and VLANs`, one.Name)
	case one.VLAN != nil && (one.VLAN.ID == 0 || one.VLAN.Of == ""):
		c.wrong(i, []string{"vlan"}, `the VLAN %s needs "id", its tag, and "of", the interface that it is on`, one.Name)
	}
}

// identity checks that an interface is described once.
func (c *networkCheck) identity(i int, one provision.Interface) {
	if _, twice := c.byID[one.ID()]; twice {
		c.wrong(i, nil, "the interface %s is in the list already; join the two entries", one.ID())
	}
	c.byID[one.ID()] = i
}

// members records what is in a bond or a bridge, and refuses what cannot be.
func (c *networkCheck) members(i int, one provision.Interface) {
	if one.Bond != nil {
		for _, mac := range one.Bond.Members {
			c.join(i, []string{"bond", "members"}, string(mac))
		}
	}
	if one.Bridge == nil {
		return
	}
	for _, id := range one.Bridge.Members {
		at, described := c.byID[id]
		switch {
		case isCard(id) || described && c.interfaces[at].Bridge == nil:
			c.join(i, []string{"bridge", "members"}, id)
		case described:
			c.wrong(i, []string{"bridge", "members"}, "%s is a bridge, and a bridge cannot be in another one", id)
		default:
			c.unknown(i, []string{"bridge", "members"}, id)
		}
	}
}

func (c *networkCheck) join(i int, at []string, id string) {
	if other, taken := c.master[id]; taken {
		c.wrong(i, at, "%s is in %s already, and an interface can be in one only", id, other)
		return
	}
	c.master[id] = c.interfaces[i].Name
}

func (c *networkCheck) unknown(i int, at []string, id string) {
	var names []string
	for _, one := range c.interfaces {
		names = append(names, one.ID())
	}
	c.wrong(i, at, "no interface of this network is called %q%s; describe it in the same list", id, jsontext.DidYouMean(id, names))
}

// addresses checks that no address is given twice.
func (c *networkCheck) addresses() {
	owner := map[netip.Addr]string{}
	for i, one := range c.interfaces {
		for _, p := range one.Addresses {
			if other, taken := owner[p.Addr()]; taken {
				c.wrong(i, []string{"addresses"}, "%s is the address of %s already; give each interface its own", p.Addr(), other)
			}
			owner[p.Addr()] = one.ID()
		}
	}
}

// vlan checks what a VLAN is on.
func (c *networkCheck) vlan(i int, one provision.Interface) {
	if one.VLAN == nil {
		return
	}
	at := []string{"vlan", "of"}
	parent, described := c.byID[one.VLAN.Of]
	switch {
	case !described && !isCard(one.VLAN.Of):
		c.unknown(i, at, one.VLAN.Of)
		return
	case described && c.interfaces[parent].VLAN != nil:
		c.wrong(i, at, "%s is a VLAN itself; a VLAN is on a card, a bond or a bridge", one.VLAN.Of)
	case c.master[one.VLAN.Of] != "":
		c.wrong(i, at, "%s is in %s; put the VLAN on that", one.VLAN.Of, c.master[one.VLAN.Of])
	case described && one.MTU > standardMTU(c.interfaces[parent].MTU):
		c.wrong(i, []string{"mtu"}, "the VLAN's MTU of %d is above that of %s, which is %d; raise that one, too", one.MTU, one.VLAN.Of, standardMTU(c.interfaces[parent].MTU))
	case !described && one.MTU > standardMTU(0):
		c.wrong(i, []string{"mtu"}, "the VLAN's MTU of %d is above that of its card; describe the card %s with an MTU of its own", one.MTU, one.VLAN.Of)
	}
	// Some programs take the tag from such a name.
	if _, tag, dotted := strings.Cut(one.Name, "."); dotted && tag != strconv.Itoa(one.VLAN.ID) {
		c.wrong(i, []string{"name"}, "the name %s looks as if the VLAN had the tag %s, and it has %d; change one of them", one.Name, tag, one.VLAN.ID)
	}
	for _, other := range c.interfaces[:i] {
		if other.VLAN != nil && *other.VLAN == *one.VLAN {
			c.wrong(i, []string{"vlan"}, "%s is the VLAN %d of %s already", other.Name, one.VLAN.ID, one.VLAN.Of)
		}
	}
}

// standardMTU is an MTU, or that of Ethernet if none is given.
func standardMTU(mtu int) int {
	if mtu == 0 {
		return 1500
	}
	return mtu
}

// routes checks that each router can be reached.
func (c *networkCheck) routes(i int, one provision.Interface) {
	for at, r := range one.Routes {
		wrong := func(format string, args ...any) {
			c.problems = append(c.problems, c.nodes[i].Child("routes").Elements()[at].Problem(format, args...))
		}
		switch {
		case !r.To.IsValid() || !r.Via.IsValid():
			wrong(`the route needs "to", a subnet, and "via", the router's address`)
		case r.To.Addr().Is4() != r.Via.Is4():
			wrong("the route to %s is by %s, which is of another version of IP", r.To, r.Via)
		case r.Via.Is6() && !hasIPv6(one):
			wrong("the router %s is of IPv6, and %s has no IPv6 address; add one", r.Via, one.ID())
		case !(one.DHCP && r.Via.Is4()) && !reaches(one, r.Via):
			wrong("the router %s is outside of all subnets of %s; change it, or add an address of its subnet", r.Via, one.ID())
		}
	}
}

func reaches(one provision.Interface, via netip.Addr) bool {
	for _, p := range one.Addresses {
		if p.Contains(via) && p.Addr() != via {
			return true
		}
	}
	return via.Is6() && via.IsLinkLocalUnicast()
}

// member checks that what is in a bond or a bridge has no network of its own. All
// that is said of a bond's card is said of the bond.
func (c *networkCheck) member(i int, one provision.Interface) {
	master := c.master[one.ID()]
	switch {
	case master == "":
	case one.DHCP || len(one.Addresses) > 0 || len(one.Routes) > 0:
		c.wrong(i, nil, "%s is in %s, so it can have no addresses and routes of its own; give them to %s", one.ID(), master, master)
	case one.VLAN != nil && c.isBridge(one.VLAN.Of):
		c.wrong(i, []string{"vlan", "of"}, "the VLAN %s is on a bridge, so it cannot be in the bridge %s; put it on a card or a bond", one.Name, master)
	case c.interfaces[c.byID[master]].Bond != nil:
		c.wrong(i, nil, "%s is in the bond %s; take its own entry out, and write its MTU at the bond", one.ID(), master)
	}
}

func (c *networkCheck) isBridge(id string) bool {
	i, described := c.byID[id]
	return described && c.interfaces[i].Bridge != nil
}

func isCard(id string) bool { return strings.Contains(id, ":") }

func hasIPv6(one provision.Interface) bool {
	for _, p := range one.Addresses {
		if p.Addr().Is6() {
			return true
		}
	}
	return false
}
