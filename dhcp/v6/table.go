package v6

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// offerTime is how long an address is held for the client that it was offered to.
	offerTime = time.Minute
	// quarantine is how long an address is kept out of use after a client found another
	// station at it.
	quarantine = 10 * time.Minute
	// maxEntries bounds the addresses of a network that are in use or offered. Of the
	// addresses of a larger pool, no more are given out.
	maxEntries = 1 << 16
	// sweepPause is the shortest time between two looks for addresses whose time has
	// ended, or for a free address after none was found for a stranger.
	sweepPause = time.Second
)

// entry is an address that is in use, offered, or kept out of use until a time.
type entry struct {
	mac   dhcp.Station
	until time.Time
	bound bool // leased and not only offered
}

// table says which client has which address of one network, and until when.
type table struct {
	network  Network
	pool     pool
	now      func() time.Time
	reserver dhcp.Reserver // may be nil
	registry dhcp.Registry // nil if all clients are equal

	mu              sync.Mutex
	avoid           map[netip.Addr]bool // addresses of servers
	byAddr          map[netip.Addr]entry
	leased, offered map[dhcp.Station]netip.Addr
	swept           time.Time
	full            time.Time // when no free address was found for a stranger
}

// newTable makes the table of a network. booter may be nil, a [dhcp.Reserver], a
// [dhcp.Registry], or both.
func newTable(n Network, booter any, now func() time.Time) *table {
	t := &table{
		network: n, pool: pool(n.Pool), now: now, byAddr: map[netip.Addr]entry{},
		leased: map[dhcp.Station]netip.Addr{}, offered: map[dhcp.Station]netip.Addr{},
	}
	t.reserver, _ = booter.(dhcp.Reserver)
	t.registry, _ = booter.(dhcp.Registry)
	t.setAvoid(nil)
	return t
}

// setAvoid keeps the server's own addresses from clients, and those of name servers.
func (t *table) setAvoid(own []netip.Addr) {
	avoid := map[netip.Addr]bool{t.network.Subnet.Masked().Addr(): true} // of any router (RFC 4291, 2.6.1)
	for _, list := range [][]netip.Addr{own, t.network.DNS} {
		for _, a := range list {
			avoid[a] = true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.avoid = avoid
}

// offer chooses an address for a client and holds it for offerTime. wanted is the
// address that the client asked for, or invalid.
func (t *table) offer(mac dhcp.Station, wanted netip.Addr) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, reason := t.choose(mac, wanted)
	if !addr.IsValid() {
		return Grant{Reason: reason}
	}
	if !t.hold(addr, mac) {
		return Grant{Reason: fmt.Sprintf("%d addresses or more are in use or offered: wait until some of them are free again", t.room(mac))}
	}
	return Grant{Addr: addr, Term: t.network.leaseTime(), Reason: reason}
}

// hold keeps an address for a client for a while. It returns false if no room is left.
func (t *table) hold(a netip.Addr, mac dhcp.Station) bool {
	now := t.now()
	e, known := t.byAddr[a]
	if room := t.room(mac); !known && len(t.byAddr) >= room && !t.sweep(now, room) {
		return false
	}
	if known && e.mac != mac {
		t.forget(a, e) // its time has ended, and with it all that is known of its client
	}
	if e.mac != mac || !e.bound || e.until.Before(now.Add(offerTime)) {
		t.byAddr[a] = entry{mac: mac, until: now.Add(offerTime), bound: e.bound && e.mac == mac}
	}
	if old, had := t.offered[mac]; had && old != a && t.byAddr[old].mac == mac && !t.byAddr[old].bound {
		delete(t.byAddr, old)
	}
	t.offered[mac] = a
	return true
}

// room is at how many addresses in use a client gets no further one. The last ones are for
// clients that the registry knows.
func (t *table) room(mac dhcp.Station) int {
	if t.isKnown(mac) {
		return maxEntries
	}
	return maxEntries - maxEntries/ownShare
}

// sweep forgets addresses whose time has ended, and says whether fewer than room are left.
func (t *table) sweep(now time.Time, room int) bool {
	if now.Sub(t.swept).Abs() < sweepPause {
		return false
	}
	t.swept = now
	for a, e := range t.byAddr {
		if !e.until.After(now) {
			t.forget(a, e)
		}
	}
	return len(t.byAddr) < room
}

func (t *table) forget(a netip.Addr, e entry) {
	delete(t.byAddr, a)
	if t.leased[e.mac] == a {
		delete(t.leased, e.mac)
	}
	if t.offered[e.mac] == a {
		delete(t.offered, e.mac)
	}
}

// request decides whether a client may have an address that it names, and holds it
// until it is stored. change is what has to be stored.
func (t *table) request(mac dhcp.Station, addr netip.Addr) (g Grant, change dhcp.LeaseChange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	reserved, note := t.reservation(mac)
	hasReserved := reserved.IsValid() && note == ""
	switch {
	case !t.network.Subnet.Contains(addr):
		return Grant{Refused: addr, Off: true, Reason: fmt.Sprintf("%s is not an address of %s", addr, t.network.Subnet.Masked())}, change
	case hasReserved && addr != reserved && t.isReservedFirst(mac, reserved):
		return Grant{Refused: addr, Reason: fmt.Sprintf("%s is reserved for this client, not %s", reserved, addr)}, change
	case !(hasReserved && addr == reserved) && !t.grantable(addr, mac):
		reason := fmt.Sprintf("%s is not an address that this client may have", addr)
		if t.isTaken(addr, mac) {
			reason = fmt.Sprintf("%s is %s", addr, t.obstacle(addr))
		}
		return Grant{Refused: addr, Reason: reason}, change
	case !t.hold(addr, mac):
		return Grant{Refused: addr, Reason: "too many addresses are in use or offered"}, change
	}
	g = Grant{Addr: addr, Term: t.network.leaseTime(), Reason: "lease confirmed"}
	change = dhcp.LeaseChange{
		Lease:  dhcp.Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: t.now().Add(g.Term)},
		Client: net.HardwareAddr(mac[:]),
	}
	if old := t.leased[mac]; old != addr {
		change.Left = old
	}
	return g, change
}

// withdraw frees the address that was offered to a client that then chose another
// server.
func (t *table) withdraw(mac dhcp.Station) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.offered[mac]
	if e, held := t.byAddr[a]; held && e.mac == mac && !e.bound {
		t.forget(a, e)
	}
}

// giveBack decides on a Release or, if declined is set, a Decline of an address. ok is
// false if the client does not have the address.
func (t *table) giveBack(mac dhcp.Station, addr netip.Addr, declined bool) (change dhcp.LeaseChange, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[addr]
	if e.mac != mac || !e.bound || mac == (dhcp.Station{}) {
		return change, false
	}
	now := t.now()
	change = dhcp.LeaseChange{
		Lease:  dhcp.Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: now},
		Client: net.HardwareAddr(mac[:]), Held: true,
	}
	// Nobody but its client can have a reserved address, so one forged packet must not
	// take it away.
	if reserved, _ := t.reservation(mac); declined && reserved != addr {
		change.Lease.MAC, change.Lease.Expires = make(net.HardwareAddr, len(mac)), now.Add(quarantine)
	}
	return change, true
}

// learn takes over leases that are in the store, whoever stored them. all says that
// there are no others.
func (t *table) learn(leases []dhcp.Lease, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if all {
		for a, e := range t.byAddr {
			if e.bound {
				t.forget(a, e)
			}
		}
	}
	for _, l := range leases {
		t.load(l)
	}
}

// load takes over the lease of one address.
func (t *table) load(l dhcp.Lease) {
	e, known := t.byAddr[l.Addr]
	switch {
	case !t.network.Subnet.Contains(l.Addr):
		return
	case len(l.MAC) != len(e.mac):
		if known && e.bound {
			t.forget(l.Addr, e)
		}
		return
	case !known && len(t.byAddr) >= maxEntries && !t.sweep(t.now(), maxEntries):
		return // the store still refuses the address to others
	}
	if known {
		t.forget(l.Addr, e)
	}
	mac := dhcp.Station(l.MAC)
	t.byAddr[l.Addr] = entry{mac: mac, until: l.Expires, bound: true}
	if mac == (dhcp.Station{}) {
		return
	}
	if other := t.byAddr[t.leased[mac]]; other.mac != mac || !other.until.After(l.Expires) {
		t.leased[mac] = l.Addr
	}
}

// used is how many addresses of the pool cannot be given to another client now.
func (t *table) used() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for a, e := range t.byAddr {
		if e.until.After(now) && t.pool.contains(a) {
			n++
		}
	}
	return n
}
