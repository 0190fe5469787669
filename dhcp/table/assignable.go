package table

import (
	"bytes"
	"net"
	"net/netip"
	"slices"

	"cloudlets/dhcp"
)

// usable says whether a client could have an address at all: one that is
// assignable, and not reserved for other clients.
func (t *Table) usable(a netip.Addr, mac dhcp.Station) bool {
	if !t.assignable(a) {
		return false
	}
	if t.reserver != nil {
		if _, reserved := t.reserver.Reserved(a); reserved {
			r, _ := t.reserver.Reserve(net.HardwareAddr(mac[:]), t.network.Subnet)
			return r.Addr == a
		}
	}
	return true
}

// keeps says whether a client keeps an address that it holds although another one
// is reserved for it, and could be given to it now. That is so if the reservation is
// another client's in the first place: both are cards of one machine, and this one
// got its address while the other card had the reserved one.
func (t *Table) keeps(mac dhcp.Station, held, reserved netip.Addr) bool {
	e := t.byMAC[mac]
	if e == nil || e.addr != held || !e.until.After(t.now()) {
		return false
	}
	owner, _ := t.reserver.Reserved(reserved)
	return !bytes.Equal(owner, mac[:])
}

// allowed says whether a client may have an address as far as the share of known
// clients goes. Who holds a lease keeps it until it ends, known or not.
func (t *Table) allowed(a netip.Addr, mac dhcp.Station) bool {
	if !slices.ContainsFunc(t.pools, func(p *pool) bool { return p.own && p.Contains(a) }) || t.isKnown(mac) {
		return true
	}
	e := t.byAddr[a]
	return e != nil && e.owned && e.mac == mac && e.until.After(t.now())
}

// isKnown says whether a client is one of the network's own machines.
func (t *Table) isKnown(mac dhcp.Station) bool {
	return t.registry == nil || t.registry.Known(net.HardwareAddr(mac[:]))
}

// assignable says whether any client could have an address.
func (t *Table) assignable(a netip.Addr) bool { return t.purpose(a) == "" }

// purpose says what an address is for that no client gets. It is empty for an address
// that a client could have.
func (t *Table) purpose(a netip.Addr) string {
	s := t.network.Subnet
	switch {
	case s.Bits() < 31 && a == s.Masked().Addr():
		return "the address of the network itself"
	case s.Bits() < 31 && a == dhcp.LastAddr(s):
		return "the broadcast address"
	case a == t.network.Router:
		return "the router's address"
	case slices.Contains(t.network.DNS, a):
		return "a name server's address"
	case slices.Contains(t.avoid, a) || t.Own != nil && t.Own(a):
		return "an address of this server"
	}
	return ""
}

// SetAvoid keeps addresses of servers and routers from clients.
func (t *Table) SetAvoid(avoid []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.avoid = avoid
}
