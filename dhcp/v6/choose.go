package v6

import (
	"fmt"
	"net"
	"net/netip"

	"cloudlets/dhcp"
)

// choose finds the best address for a client. reason says why it is the best, or why
// there is none.
func (t *table) choose(mac dhcp.Station, wanted netip.Addr) (addr netip.Addr, reason string) {
	reserved, note := t.reservation(mac)
	if reserved.IsValid() && note == "" {
		return reserved, "address reserved for this client"
	}
	leased, offered := t.leased[mac], t.offered[mac]
	switch {
	case t.grantable(leased, mac):
		addr, reason = leased, "address that the client had before"
	case t.grantable(wanted, mac):
		addr, reason = wanted, "address that the client asked for"
	case t.grantable(offered, mac):
		addr, reason = offered, "address that the client was offered before"
	default:
		addr, reason = t.pick(mac)
	}
	if note != "" {
		reason += " (" + note + ")"
	}
	return addr, reason
}

// pick chooses a free address of the pool. Since a look through a full pool is long, one
// that finds nothing for a stranger counts for all strangers for a while.
func (t *table) pick(mac dhcp.Station) (netip.Addr, string) {
	limit, known, now := t.pool.open(), t.isKnown(mac), t.now()
	if known {
		limit = t.pool.usable()
	}
	if known || now.Sub(t.full).Abs() >= sweepPause {
		for place := range places(mac, limit) {
			if a := t.pool.at(place); t.grantable(a, mac) {
				return a, "free address of the pool"
			}
		}
		if !known {
			t.full = now
		}
	}
	return netip.Addr{}, fmt.Sprintf("no address is free in the pool %v: make it larger or the lease time shorter", t.network.Pool)
}

// reservation returns the address that is kept for a client on this network. note is
// empty if it can be given now, and says why not otherwise.
func (t *table) reservation(mac dhcp.Station) (a netip.Addr, note string) {
	if t.reserver == nil {
		return a, ""
	}
	r, _ := t.reserver.Reserve(net.HardwareAddr(mac[:]), t.network.Subnet)
	switch {
	case !r.Addr.Is6() || !t.network.Subnet.Contains(r.Addr):
		return netip.Addr{}, ""
	case t.avoid[r.Addr]:
		note = fmt.Sprintf("reserved address %s is a server's", r.Addr)
	case t.isTaken(r.Addr, mac):
		note = fmt.Sprintf("reserved address %s is %s", r.Addr, t.obstacle(r.Addr))
	}
	return r.Addr, note
}

// grantable says whether a client may have an address of the pool now.
func (t *table) grantable(a netip.Addr, mac dhcp.Station) bool {
	if !a.IsValid() || !t.pool.contains(a) || t.avoid[a] || t.isTaken(a, mac) {
		return false
	}
	if t.reserver != nil {
		if _, reserved := t.reserver.Reserved(a); reserved {
			r, _ := t.reserver.Reserve(net.HardwareAddr(mac[:]), t.network.Subnet)
			return r.Addr == a
		}
	}
	place, e := t.pool.index(a), t.byAddr[a]
	return place < t.pool.open() || place < t.pool.usable() && t.isKnown(mac) || e.mac == mac && e.bound && e.until.After(t.now())
}

func (t *table) isKnown(mac dhcp.Station) bool {
	return t.registry == nil || t.registry.Known(net.HardwareAddr(mac[:]))
}

// isTaken says whether an address is another client's now, or kept out of use.
func (t *table) isTaken(a netip.Addr, mac dhcp.Station) bool {
	e := t.byAddr[a]
	return e.until.After(t.now()) && (e.mac != mac || mac == dhcp.Station{})
}

// obstacle says why an address is not free, as the end of a sentence.
func (t *table) obstacle(a netip.Addr) string {
	switch e := t.byAddr[a]; {
	case e.mac == dhcp.Station{}:
		return "kept out of use, since another station may have it"
	case e.bound:
		return "leased to " + e.mac.String()
	default:
		return "offered to " + e.mac.String()
	}
}

// isReservedFirst says whether an address is kept for exactly this card of a machine,
// and not for another one that may have it.
func (t *table) isReservedFirst(mac dhcp.Station, reserved netip.Addr) bool {
	owner, _ := t.reserver.Reserved(reserved)
	return len(owner) == len(mac) && dhcp.Station(owner) == mac
}
