package dhcp

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// offerTime is how long an address is held for a client that was
	// offered it and has not asked for it yet.
	offerTime = time.Minute
	// quarantine is how long an address that a client found in use by
	// another is kept out of the pool.
	quarantine = 10 * time.Minute
)

// table is the addresses of one network: who has which, and until when.
//
// Clients are known by MAC, not by client identifier (option 61): firmware,
// loader and operating system of one machine send different identifiers, and
// shall all have the machine's one address.
type table struct {
	network  Network
	avoid    []netip.Addr // the server's own addresses, the router, name servers
	now      func() time.Time
	reserver Reserver

	mu     sync.Mutex
	byAddr map[netip.Addr]*entry
	byMAC  map[station]*entry
	queue  expiry
	fresh  netip.Addr // the lowest address of the range never given out
}

// station is a MAC as a map's key.
type station [6]byte

func (s station) String() string { return net.HardwareAddr(s[:]).String() }

// entry is one address that is or was in use. It stays after it has expired,
// so that its client gets it again if nobody needed it meanwhile.
type entry struct {
	addr  netip.Addr
	mac   station
	owned bool // false in quarantine: the address is nobody's
	bound bool // leased, not just offered
	until time.Time
	index int // in the expiry queue
}

func newTable(n Network, r Reserver, now func() time.Time, avoid ...netip.Addr) *table {
	return &table{
		network: n, avoid: avoid, now: now, reserver: r,
		byAddr: map[netip.Addr]*entry{}, byMAC: map[station]*entry{},
		fresh: n.Range.First,
	}
}

// load fills in a lease of an earlier run.
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

// offer finds an address for a client and holds it for a while. wanted is
// what the client asked for, which may be invalid.
func (t *table) offer(mac station, wanted netip.Addr) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, hostname, reason := t.choose(mac, wanted)
	if !addr.IsValid() {
		return Grant{Reason: reason}
	}
	until := t.now().Add(offerTime)
	e := t.byAddr[addr]
	keep := e != nil && e.owned && e.mac == mac && e.until.After(until)
	if !keep {
		t.assign(addr, mac, false, until)
	}
	return Grant{Granted, addr, hostname, t.network.leaseTime(), reason}
}

// choose finds the best address for a client, and says why it is.
func (t *table) choose(mac station, wanted netip.Addr) (addr netip.Addr, hostname, reason string) {
	r, note := t.reservation(mac)
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

// reservation is the client's reservation. A note says why its address cannot
// be given now.
func (t *table) reservation(mac station) (r Reservation, note string) {
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

// pick takes an address that was never used, or else the one that has been
// unused for the longest time.
func (t *table) pick(mac station) (netip.Addr, string) {
	for ; t.network.Range.Contains(t.fresh); t.fresh = t.fresh.Next() {
		if t.byAddr[t.fresh] == nil && t.usable(t.fresh, mac) {
			return t.fresh, "first free address of the pool"
		}
	}
	now := t.now()
	var passed []*entry // free, but not for the pool to give to this client
	defer func() {
		for _, e := range passed {
			heap.Push(&t.queue, e)
		}
	}()
	for t.queue.Len() > 0 && !t.queue[0].until.After(now) {
		e := t.queue[0]
		if t.network.Range.Contains(e.addr) && t.usable(e.addr, mac) {
			return e.addr, "address longest unused"
		}
		passed = append(passed, heap.Pop(&t.queue).(*entry))
	}
	return netip.Addr{}, fmt.Sprintf("no address is free in the pool %q: make the range larger or the lease time shorter", t.network.Range)
}

// request is a client's word that it wants addr. selecting says that it
// answers an offer of ours, so that silence would leave it waiting.
func (t *table) request(mac station, addr netip.Addr, selecting bool) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := func(format string, args ...any) Grant {
		return Grant{Verdict: Refused, Addr: addr, Reason: fmt.Sprintf(format, args...)}
	}
	if !t.network.Subnet.Contains(addr) {
		return refused("%s is not an address of %s", addr, t.network.Subnet.Masked())
	}
	r, note := t.reservation(mac)
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
	// An address of our own range that is free is good even if no lease is
	// on record: only this server gives it out.
	term := t.network.leaseTime()
	return Grant{Granted, addr, r.Hostname, term, "lease confirmed"}
}

// bind makes a granted address the client's, and tells what the store has to
// know: the lease, and the address that the client had before, if another.
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

// release ends a client's lease. The record stays, so that it gets the
// address again if it comes back before it is needed.
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

// decline takes an address out of use that its client found taken. Only the
// client that was given an address can decline it.
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

// withdraw frees what was only offered to a client that chose another server.
func (t *table) withdraw(mac station) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byMAC[mac]; e != nil && !e.bound {
		t.setUntil(e, t.now())
	}
}

// free says that a client may have an address now.
func (t *table) free(a netip.Addr, mac station) bool {
	if e := t.byAddr[a]; e != nil && e.until.After(t.now()) && !(e.owned && e.mac == mac) {
		return false
	}
	return t.usable(a, mac)
}

// usable says that an address is one that a client could have at all: a
// station's, not the server's own, not reserved for another.
func (t *table) usable(a netip.Addr, mac station) bool {
	s := t.network.Subnet
	if s.Bits() < 31 && (a == s.Masked().Addr() || a == lastAddr(s)) {
		return false
	}
	for _, used := range t.avoid {
		if a == used {
			return false
		}
	}
	if t.reserver == nil {
		return true
	}
	owner, reserved := t.reserver.Reserved(a)
	return !reserved || owner.String() == mac.String()
}

// assign records that an address is a client's until then, in the place of
// whatever the address and the client had.
func (t *table) assign(a netip.Addr, mac station, bound bool, until time.Time) {
	if old := t.byMAC[mac]; old != nil && old.addr != a {
		t.drop(old)
	}
	e := t.byAddr[a]
	if e == nil {
		e = &entry{addr: a, until: until}
		t.byAddr[a] = e
		heap.Push(&t.queue, e)
	} else if e.owned && e.mac != mac {
		delete(t.byMAC, e.mac)
	}
	e.mac, e.owned, e.bound = mac, true, bound
	t.byMAC[mac] = e
	t.setUntil(e, until)
}

// drop makes an address nobody's. In the range it is kept as free from now.
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

func (t *table) setUntil(e *entry, until time.Time) {
	e.until = until
	heap.Fix(&t.queue, e.index)
}

func stationOf(mac net.HardwareAddr) (station, bool) {
	if len(mac) != 6 {
		return station{}, false
	}
	return station(mac), true
}
