package dhcp

import (
	"bytes"
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// offerTime is how long an offered address is held for its client to
	// request it.
	offerTime = time.Minute
	// quarantine is how long an address is kept out of the pool after a
	// client found another station at it.
	quarantine = 10 * time.Minute
	// releaseHold is how long a released address is kept for the client that
	// had it. Anyone on the network can forge a release.
	releaseHold = 2 * time.Minute
	// recheck is how long an unused address that is reserved for one client is
	// not looked at when another client needs one. The reservation may be gone
	// after that.
	recheck = time.Minute
)

// table says which client has which address of one network, and until when.
//
// A client is its MAC and not its client identifier (option 61): firmware,
// loader and operating system of one machine send different identifiers, but
// should all get the same address.
type table struct {
	network  Network
	avoid    []netip.Addr // addresses of servers and routers, which no client gets
	now      func() time.Time
	reserver Reserver
	registry Registry // nil if all clients are equal

	mu     sync.Mutex
	byAddr map[netip.Addr]*entry
	byMAC  map[station]*entry
	// pools are the range, in one part or in two: the second is for clients
	// that the registry knows.
	pools []*pool
}

// station is a MAC as a map's key.
type station [6]byte

func (s station) String() string { return net.HardwareAddr(s[:]).String() }

// entry is an address that is or was in use. It stays after it has expired, so
// that its client gets the same address again if no other needed it.
type entry struct {
	addr  netip.Addr
	mac   station
	owned bool // mac is the client's; false in quarantine, and for addresses that were given up
	bound bool // leased and not only offered
	until time.Time
	due   time.Time // when a client that needs an address looks at this one
	pool  *pool     // nil for an address outside the range
	index int       // in the pool's queue
}

// newTable makes the table of a network. booter may be nil, a [Reserver], a
// [Registry], or both.
func newTable(n Network, booter any, now func() time.Time, avoid ...netip.Addr) *table {
	t := &table{
		network: n, avoid: avoid, now: now,
		byAddr: map[netip.Addr]*entry{}, byMAC: map[station]*entry{},
	}
	t.reserver, _ = booter.(Reserver)
	t.registry, _ = booter.(Registry)
	t.pools = newPools(n.Range, t.registry != nil)
	return t
}

// load adds a lease that was stored by an earlier run, unless the client has a
// later one or must not have the address any more.
func (t *table) load(l Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mac, ok := stationOf(l.MAC)
	if !ok || !t.network.Subnet.Contains(l.Addr) || !t.usable(l.Addr, mac) {
		return
	}
	if old := t.byMAC[mac]; old != nil && old.until.After(l.Expires) {
		return
	}
	t.assign(l.Addr, mac, true, l.Expires)
}

// offer chooses an address for a client and holds it for offerTime. wanted is
// the address that the client asked for, or invalid.
func (t *table) offer(mac station, wanted netip.Addr) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, hostname, reason := t.choose(mac, wanted)
	if !addr.IsValid() {
		return Grant{Reason: reason}
	}
	t.hold(addr, mac, t.now().Add(offerTime))
	return Grant{Granted, addr, hostname, t.network.leaseTime(), reason}
}

// hold keeps an address for a client at least until a time. A lease that has
// not ended stays one: if the client then takes the offer of another server, it
// does not lose what it has here.
func (t *table) hold(addr netip.Addr, mac station, until time.Time) {
	e := t.byAddr[addr]
	if e == nil || !e.owned || e.mac != mac || !e.until.After(t.now()) {
		t.assign(addr, mac, false, until)
		return
	}
	if until.After(e.until) {
		t.setUntil(e, until)
	}
}

// choose finds the best address for a client. reason says why it is the best,
// or why there is none.
func (t *table) choose(mac station, wanted netip.Addr) (addr netip.Addr, hostname, reason string) {
	r, note := t.findReservation(mac)
	if r.Addr.IsValid() && note == "" {
		return r.Addr, r.Hostname, "address reserved for this client"
	}
	switch e := t.byMAC[mac]; {
	case e != nil && t.network.Range.Contains(e.addr) && t.usable(e.addr, mac) && t.allowed(e.addr, mac):
		addr, reason = e.addr, "address that the client had before"
	case t.network.Range.Contains(wanted) && t.free(wanted, mac) && t.allowed(wanted, mac):
		addr, reason = wanted, "address that the client asked for"
	default:
		addr, reason = t.pick(mac)
	}
	if note != "" {
		reason += " (" + note + ")"
	}
	return addr, r.Hostname, reason
}

// findReservation returns the client's reservation. note is empty if its address
// can be given now, and says why not otherwise.
func (t *table) findReservation(mac station) (r Reservation, note string) {
	if t.reserver == nil {
		return r, ""
	}
	r, _ = t.reserver.Reserve(net.HardwareAddr(mac[:]))
	switch e := t.byAddr[r.Addr]; {
	case !r.Addr.IsValid():
	case !t.network.Subnet.Contains(r.Addr):
		note = fmt.Sprintf("reserved address %s is not in %s", r.Addr, t.network.Subnet.Masked())
	case e == nil || !e.until.After(t.now()) || e.owned && e.mac == mac:
	case !e.owned:
		note = fmt.Sprintf("reserved address %s was found in use by an unknown station", r.Addr)
	default:
		note = fmt.Sprintf("reserved address %s is still leased to %s", r.Addr, e.mac)
	}
	return r, note
}

// pick chooses an address of the pool: one that was never used, or else the one
// that has been unused for longest.
func (t *table) pick(mac station) (netip.Addr, string) {
	known := t.isKnown(mac)
	for i, p := range t.pools {
		if i > 0 && !known {
			break
		}
		if addr, reason := t.pickFrom(p, mac); addr.IsValid() {
			return addr, reason
		}
	}
	reason := fmt.Sprintf("no address is free in the pool %q: make the range larger or the lease time shorter", t.network.Range)
	if len(t.pools) > 1 && !known {
		reason += fmt.Sprintf("; %s are kept for machines of the site", t.pools[1].Range)
	}
	return netip.Addr{}, reason
}

func (t *table) pickFrom(p *pool, mac station) (netip.Addr, string) {
	for ; p.Contains(p.nextUnused); p.nextUnused = p.nextUnused.Next() {
		if t.byAddr[p.nextUnused] != nil || !t.assignable(p.nextUnused) {
			continue
		}
		if t.usable(p.nextUnused, mac) {
			return p.nextUnused, "first free address of the pool"
		}
		t.add(&entry{addr: p.nextUnused}) // another client may have it, or this one later
	}
	for now := t.now(); p.queue.Len() > 0 && !p.queue[0].due.After(now); {
		e := p.queue[0]
		if t.usable(e.addr, mac) {
			return e.addr, "address longest unused"
		}
		e.due = now.Add(recheck)
		heap.Fix(&p.queue, e.index)
	}
	return netip.Addr{}, ""
}

// request decides on a client's REQUEST for addr. selecting says that the
// client chose our offer: it then waits for an answer, so it gets a NAK where
// another client gets none.
func (t *table) request(mac station, addr netip.Addr, selecting bool) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := func(format string, args ...any) Grant {
		return Grant{Verdict: Refused, Addr: addr, Reason: fmt.Sprintf(format, args...)}
	}
	if !t.network.Subnet.Contains(addr) {
		return refused("%s is not an address of %s", addr, t.network.Subnet.Masked())
	}
	r, note := t.findReservation(mac)
	reserved := r.Addr.IsValid() && note == ""
	switch {
	case reserved && r.Addr != addr:
		return refused("%s is reserved for this client, not %s", r.Addr, addr)
	case !reserved && !t.network.Range.Contains(addr) && selecting:
		return refused("%s is not an address of the pool", addr)
	case !reserved && !t.network.Range.Contains(addr):
		return Grant{Reason: fmt.Sprintf("%s is not an address of the pool", addr)}
	case !t.free(addr, mac):
		return refused("%s is in use by another, or reserved", addr)
	case !reserved && !t.allowed(addr, mac):
		return refused("%s is kept for machines of the site", addr)
	}
	// A free address of the range is granted even if there is no lease: only
	// this server gives it out.
	term := t.network.leaseTime()
	return Grant{Granted, addr, r.Hostname, term, "lease confirmed"}
}

// bind makes a granted address the client's. It returns what has to be stored:
// the lease, and the address that the client leaves for it, if any. ok is false
// if the address went to another client meanwhile.
func (t *table) bind(mac station, g Grant) (l Lease, left netip.Addr, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.free(g.Addr, mac) {
		return l, left, false // another client was quicker
	}
	if old := t.byMAC[mac]; old != nil && old.addr != g.Addr {
		left = old.addr
	}
	until := t.now().Add(g.Term)
	t.assign(g.Addr, mac, true, until)
	return Lease{g.Addr, net.HardwareAddr(mac[:]), g.Hostname, until}, left, true
}

// release ends a client's lease. For releaseHold, and until another client needs
// the address, the same client can have it again.
func (t *table) release(mac station, addr netip.Addr) (Lease, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != addr || !e.bound {
		return Lease{}, false
	}
	now := t.now()
	t.assign(addr, mac, false, now.Add(releaseHold))
	return Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: now}, true
}

// decline puts an address into quarantine. Only the client that was given the
// address can decline it. A reserved address is not put into quarantine: its
// client would lose it by one forged packet, and no other can have it anyway.
func (t *table) decline(mac station, addr netip.Addr) (declined, reserved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != addr {
		return false, false
	}
	if r, _ := t.findReservation(mac); r.Addr == addr {
		t.setUntil(e, t.now())
		e.bound = false
		return true, true
	}
	delete(t.byMAC, mac)
	e.owned, e.bound = false, false
	t.setUntil(e, t.now().Add(quarantine))
	return true, false
}

// withdraw frees the address that was offered to a client that then chose
// another server.
func (t *table) withdraw(mac station) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byMAC[mac]; e != nil && !e.bound {
		t.setUntil(e, t.now())
	}
}

// free says whether a client may have an address now.
func (t *table) free(a netip.Addr, mac station) bool {
	if e := t.byAddr[a]; e != nil && e.until.After(t.now()) && !(e.owned && e.mac == mac) {
		return false
	}
	return t.usable(a, mac)
}

// usable says whether a client could have an address at all: one that is
// assignable, and not reserved for another client.
func (t *table) usable(a netip.Addr, mac station) bool {
	if !t.assignable(a) {
		return false
	}
	if t.reserver != nil {
		if owner, reserved := t.reserver.Reserved(a); reserved {
			return bytes.Equal(owner, mac[:])
		}
	}
	return true
}

// allowed says whether a client may have an address as far as the share of known
// clients goes. Who holds a lease keeps it until it ends, known or not.
func (t *table) allowed(a netip.Addr, mac station) bool {
	if len(t.pools) < 2 || !t.pools[1].Contains(a) || t.isKnown(mac) {
		return true
	}
	e := t.byAddr[a]
	return e != nil && e.owned && e.mac == mac && e.until.After(t.now())
}

// isKnown says whether a client is one of the network's own machines.
func (t *table) isKnown(mac station) bool {
	return t.registry == nil || t.registry.Known(net.HardwareAddr(mac[:]))
}

// assignable says whether any client could have an address. The network's and
// the broadcast address, and those of servers and routers, are not assignable.
func (t *table) assignable(a netip.Addr) bool {
	s := t.network.Subnet
	if s.Bits() < 31 && (a == s.Masked().Addr() || a == lastAddr(s)) {
		return false
	}
	return !slices.Contains(t.avoid, a)
}

// assign gives an address to a client. The address's previous client and the
// client's previous address lose each other.
func (t *table) assign(a netip.Addr, mac station, bound bool, until time.Time) {
	if old := t.byMAC[mac]; old != nil && old.addr != a {
		t.drop(old)
	}
	e := t.byAddr[a]
	if e == nil {
		e = &entry{addr: a}
		t.add(e)
	} else if e.owned && e.mac != mac {
		delete(t.byMAC, e.mac)
	}
	e.mac, e.owned, e.bound = mac, true, bound
	t.byMAC[mac] = e
	t.setUntil(e, until)
}

// drop takes an address away from its client. An address of the range stays in
// the queue, as unused from now on.
func (t *table) drop(e *entry) {
	delete(t.byMAC, e.mac)
	if !t.network.Range.Contains(e.addr) {
		delete(t.byAddr, e.addr)
		return
	}
	e.owned, e.bound = false, false
	t.setUntil(e, t.now())
}

// add makes an address known that had no entry.
func (t *table) add(e *entry) {
	t.byAddr[e.addr] = e
	for _, p := range t.pools {
		if p.Contains(e.addr) {
			e.pool = p
			heap.Push(&p.queue, e)
		}
	}
}

// setUntil changes when an address is free for other clients.
func (t *table) setUntil(e *entry, until time.Time) {
	e.until, e.due = until, until
	if e.pool != nil {
		heap.Fix(&e.pool.queue, e.index)
	}
}

func stationOf(mac net.HardwareAddr) (station, bool) {
	if len(mac) != 6 {
		return station{}, false
	}
	return station(mac), true
}
