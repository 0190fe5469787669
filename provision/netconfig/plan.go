package netconfig

import (
	"net/netip"
	"strings"

	"cloudlets/provision"
)

// plan is a network with all that follows from it: each card that it mentions has an
// entry, and each interface knows what is in it and on it.
type plan struct {
	links  []link // in an order in which they can be made: what is on another one comes later
	dns    []netip.Addr
	search []string
}

// link is an interface with what it has to do with others.
type link struct {
	provision.Interface
	// master is the bond or bridge that the link is in, if any.
	master *provision.Interface
	// members are what is in it, and vlans the names of the VLANs on it.
	members []string
	vlans   []string
	// hardware is the address that the link has: its card's, or that of its first
	// member's. Then a DHCP server knows the machine by it.
	hardware provision.MAC
}

func newPlan(n *provision.Network) plan {
	p := plan{dns: n.DNS, search: n.Search}
	all := map[string]provision.Interface{}
	for _, one := range n.Interfaces {
		all[one.ID()] = one
	}
	done := map[string]bool{}
	var add func(id string)
	add = func(id string) {
		if done[id] {
			return
		}
		done[id] = true
		one, described := all[id]
		if !described {
			one = provision.Interface{MAC: provision.MAC(id)}
		}
		l := link{Interface: one, members: members(one)}
		for _, below := range beneath(one) {
			add(below)
		}
		l.hardware = p.hardwareOf(one)
		p.links = append(p.links, l)
	}
	for _, one := range n.Interfaces {
		add(one.ID())
	}
	p.join()
	return p
}

// join tells each link its master and its VLANs.
func (p plan) join() {
	for _, upper := range p.links {
		for _, id := range upper.members {
			p.find(id).master = &upper.Interface
		}
		if upper.VLAN != nil {
			parent := p.find(upper.VLAN.Of)
			parent.vlans = append(parent.vlans, upper.Name)
		}
	}
}

func (p plan) find(id string) *link {
	for i := range p.links {
		if p.links[i].ID() == id {
			return &p.links[i]
		}
	}
	panic("netconfig: a network that was not checked mentions " + id)
}

// members are the interfaces that are in a bond or a bridge.
func members(one provision.Interface) (ids []string) {
	switch {
	case one.Bond != nil:
		for _, mac := range one.Bond.Members {
			ids = append(ids, string(mac))
		}
	case one.Bridge != nil:
		ids = one.Bridge.Members
	}
	return ids
}

// beneath are the interfaces that must be there before an interface can be made.
func beneath(one provision.Interface) []string {
	if one.VLAN != nil {
		return []string{one.VLAN.Of}
	}
	return members(one)
}

func (p plan) hardwareOf(one provision.Interface) provision.MAC {
	if one.MAC != "" {
		return one.MAC
	}
	return p.find(beneath(one)[0]).hardware
}

// label is a link's part of a file's name: "52-54-00-12-34-56", "bond0.20".
func (l link) label() string { return label(l.ID()) }

func label(id string) string { return strings.ReplaceAll(id, ":", "-") }

// configured says whether the link has addresses of its own.
func (l link) configured() bool { return l.DHCP || len(l.Addresses) > 0 }

// of are the addresses and the routes of one version of IP.
func (l link) of(six bool) (addresses []netip.Prefix, routes []provision.Route) {
	for _, a := range l.Addresses {
		if a.Addr().Is6() == six {
			addresses = append(addresses, a)
		}
	}
	for _, r := range l.Routes {
		if r.Via.Is6() == six {
			routes = append(routes, r)
		}
	}
	return addresses, routes
}
