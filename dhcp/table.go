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

	mu     sync.Mutex
	byAddr map[netip.Addr]*entry
	byMAC  map[station]*entry
	queue  expiryQueue
	// nextUnused is where to look for an address that was never given out: all
	// lower ones of the range have an entry, or can never be given.
	nextUnused netip.Addr
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
	index int       // in the queue
}

func newTable(n Network, r Reserver, now func() time.Time, avoid ...netip.Addr) *table {
	return &table{
		network: n, avoid: avoid, now: now, reserver: r,
		byAddr: map[netip.Addr]*entry{}, byMAC: map[station]*entry{},
		nextUnused: n.Range.First,
	}
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
	case e != nil && t.network.Range.Contains(e.addr) && t.usable(e.addr, mac):
		addr, reason = e.addr, "address that the client had before"
	case t.network.Range.Contains(wanted) && t.free(wanted, mac):
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

// pick chooses an address that was never used, or else the one that has been
// unused for longest.
func (t *table) pick(mac station) (netip.Addr, string) {
	for ; t.network.Range.Contains(t.nextUnused); t.nextUnused = t.nextUnused.Next() {
		if t.byAddr[t.nextUnused] != nil || !t.assignable(t.nextUnused) {
			continue
		}
		if t.usable(t.nextUnused, mac) {
			return t.nextUnused, "first free address of the pool"
		}
		t.add(&entry{addr: t.nextUnused}) // it can be given once it is reserved no more
	}
	for now := t.now(); t.queue.Len() > 0 && !t.queue[0].due.After(now); {
		e := t.queue[0]
		if t.network.Range.Contains(e.addr) && t.usable(e.addr, mac) {
			return e.addr, "address longest unused"
		}
		e.due = now.Add(recheck)
		heap.Fix(&t.queue, e.index)
	}
	return netip.Addr{}, fmt.Sprintf("no address is free in the pool %q: make the range larger or the lease time shorter", t.network.Range)
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

// release ends a client's lease. The entry stays, so that the client gets the
// address again if it comes back before another needs it.
func (t *table) release(mac station, addr netip.Addr) (Lease, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != addr || !e.bound {
		return Lease{}, false
	}
	t.assign(addr, mac, true, t.now())
	return Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: e.until}, true
}

// decline puts an address into quarantine. Only the client that was given the
// address can decline it.
func (t *table) decline(mac station, addr netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != addr {
		return false
	}
	delete(t.byMAC, mac)
	e.owned, e.bound = false, false
	t.setUntil(e, t.now().Add(quarantine))
	return true
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
	if t.reserver == nil {
		return true
	}
	owner, reserved := t.reserver.Reserved(a)
	return !reserved || bytes.Equal(owner, mac[:])
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
		heap.Remove(&t.queue, e.index)
		return
	}
	e.owned, e.bound = false, false
	t.setUntil(e, t.now())
}

// add makes an address known that had no entry.
func (t *table) add(e *entry) {
	t.byAddr[e.addr] = e
	heap.Push(&t.queue, e)
}

func (t *table) setUntil(e *entry, until time.Time) {
	e.until, e.due = until, until
	heap.Fix(&t.queue, e.index)
}

func stationOf(mac net.HardwareAddr) (station, bool) {
	if len(mac) != 6 {
		return station{}, false
	}
	return station(mac), true
}
