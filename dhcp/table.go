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
	members  members

	mu     sync.Mutex
	byAddr map[netip.Addr]*entry
	byMAC  map[station]*entry
	// pools are the range, in one part or in two: the second is for clients
	// that the registry knows.
	pools   []*pool
	sharing []string // the servers that share the pools, as of the last look
}

// station is a MAC as a map's key.
type station [6]byte

func (s station) String() string { return net.HardwareAddr(s[:]).String() }

// entry is an address that is or was in use. It stays after it has expired, so
// that its client gets the same address again if no other needed it.
//
// What this server has promised and what is in the store are kept apart: one
// server's offer says nothing to the others, and what it takes back itself may stay
// in the store. A client gets an address only if neither is another's.
type entry struct {
	addr  netip.Addr
	mac   station
	owned bool // mac is the client's; false in quarantine, and for addresses that were given up
	bound bool // leased and not only offered
	until time.Time
	kept  keptLease
	due   time.Time    // when a client that needs an address looks at this one
	queue *expiryQueue // of a pool; nil for an address outside the range
	index int          // in the queue
}

// keptLease is the lease that an address has in the store, as far as this server was
// told. The zero value is none; that of the zero station is no client's.
type keptLease struct {
	mac   station
	until time.Time
}

// rest is for how long a client still has an address by what is in the store.
func (k keptLease) rest(mac station, now time.Time) time.Duration {
	if k.mac != mac {
		return 0
	}
	return max(0, k.until.Sub(now))
}

// isTaken says whether an address is another client's, or nobody's, at a time.
func (e *entry) isTaken(mac station, now time.Time) bool {
	return e.until.After(now) && !(e.owned && e.mac == mac) || e.kept.until.After(now) && e.kept.mac != mac
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

// learn takes over leases that are in the store, whoever stored them. all says
// that there are no others.
func (t *table) learn(leases []Lease, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var before map[*entry]keptLease
	if all {
		before = t.forgetKept()
	}
	for _, l := range leases {
		t.load(l, all)
	}
	for e, was := range before {
		if e.kept.until.IsZero() {
			t.vanish(e, was)
		}
	}
}

// forgetKept forgets what is in the store, and returns it.
func (t *table) forgetKept() map[*entry]keptLease {
	before := map[*entry]keptLease{}
	for _, e := range t.byAddr {
		if !e.kept.until.IsZero() {
			before[e], e.kept = e.kept, keptLease{}
		}
	}
	return before
}

// load takes over the lease of one address. The caller holds mu.
func (t *table) load(l Lease, all bool) {
	mac, ok := stationOf(l.MAC)
	e := t.byAddr[l.Addr]
	switch {
	case len(l.MAC) == 0:
		if e != nil {
			was := e.kept
			e.kept = keptLease{}
			t.vanish(e, was)
		}
		return
	case !ok || !t.network.Subnet.Contains(l.Addr):
		return
	case e == nil:
		e = &entry{addr: l.Addr}
		t.add(e)
	}
	e.kept = keptLease{mac, l.Expires}
	t.setUntil(e, e.until)
	switch old := t.byMAC[mac]; {
	case mac == station{}:
		t.drop(e)
	case all && old != nil && old != e && old.until.After(l.Expires):
		// The client has a later lease.
	case all && e.owned && e.mac != mac && !l.Expires.After(t.now()):
		// The lease has ended, and another client is offered the address.
	case old == e && e.bound && e.until.After(l.Expires) && !t.released(l):
		// This server has prolonged it meanwhile.
	default:
		t.assign(l.Addr, mac, true, l.Expires)
	}
}

// released says whether a lease that is stored lasts no longer than one that its
// client has given back.
func (t *table) released(l Lease) bool { return !l.Expires.After(t.now().Add(releaseHold)) }

// vanish takes over that an address has no lease in the store any more. was is the
// one that it had.
func (t *table) vanish(e *entry, was keptLease) {
	if e.owned && e.bound && e.mac == was.mac {
		t.drop(e)
		return
	}
	t.setUntil(e, e.until)
}

// concede takes over the lease that stood in the way of a client's, unless the
// store has told of the address meanwhile.
func (t *table) concede(mac station, l Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free(l.Addr, mac) {
		t.load(l, false)
	}
}

// lost is the Grant of an address that another client got meanwhile.
func (t *table) lost(mac station, g Grant) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := fmt.Sprintf("%s was given to another client meanwhile: it is %s", g.Addr, t.obstacle(g.Addr, mac))
	return Grant{Verdict: Refused, Addr: g.Addr, Reason: reason}
}

// hasStored says whether a client has a lease in the store that has not ended.
func (t *table) hasStored(mac station) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	return e != nil && e.kept.rest(mac, t.now()) > 0
}

// unbind takes back what bind did, since it could not be stored, and returns to the
// client the address that it left. rest is how long the client still has addr by
// the lease that is stored.
func (t *table) unbind(mac station, addr, left netip.Addr) (rest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if e := t.byMAC[mac]; e != nil {
		if e.addr != addr {
			return 0
		}
		if rest := e.kept.rest(mac, now); rest > 0 {
			t.setUntil(e, e.kept.until)
			return rest.Truncate(time.Second)
		}
		e.bound = false
		t.setUntil(e, now)
	}
	if old := t.byAddr[left]; old != nil && old.kept.rest(mac, now) > 0 {
		t.assign(left, mac, true, old.kept.until)
	}
	return 0
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
	case e != nil && e.isTaken(mac, t.now()):
		note = fmt.Sprintf("reserved address %s is %s", r.Addr, t.obstacle(r.Addr, mac))
	}
	return r, note
}

// pick chooses an address of the pool: one that was never used, or else the one
// that has been unused for longest.
func (t *table) pick(mac station) (netip.Addr, string) {
	known := t.isKnown(mac)
	t.share()
	for _, pick := range []func(*pool, station) (netip.Addr, string){t.pickOwn, t.pickForeign} {
		for i, p := range t.pools {
			if i > 0 && !known {
				break
			}
			if addr, reason := pick(p, mac); addr.IsValid() {
				return addr, reason
			}
		}
	}
	reason := fmt.Sprintf("no address is free in the pool %q: make the range larger or the lease time shorter", t.network.Range)
	if len(t.pools) > 1 && !known {
		reason += fmt.Sprintf("; %s are kept for machines of the site", t.pools[1].Range)
	}
	return netip.Addr{}, reason
}

// share takes note of which servers share the pool. If that has changed, each
// address may be another one's.
func (t *table) share() {
	_, live := t.members.now()
	if slices.Equal(live, t.sharing) {
		return
	}
	t.sharing = live
	for _, p := range t.pools {
		p.mingle()
	}
}

// pickOwn chooses an address of a part of the pool that no other server owns.
func (t *table) pickOwn(p *pool, mac station) (netip.Addr, string) {
	for ; p.Contains(p.nextUnused); p.nextUnused = p.nextUnused.Next() {
		a := p.nextUnused
		switch {
		case t.byAddr[a] != nil || !t.assignable(a):
		case !t.members.own(a):
			t.insert(&entry{addr: a}, &p.foreign)
		case t.usable(a, mac):
			return a, "first free address of the pool"
		default:
			t.insert(&entry{addr: a}, &p.queue) // another client may have it, or this one later
		}
	}
	for now := t.now(); p.queue.Len() > 0 && !p.queue[0].due.After(now); {
		e := p.queue[0]
		switch {
		case !t.members.own(e.addr):
			e.move(&p.foreign)
		case t.usable(e.addr, mac):
			return e.addr, "address longest unused"
		default:
			e.later(now)
		}
	}
	return netip.Addr{}, ""
}

// pickForeign chooses an address of a part of the pool that another server owns:
// no own one is free. Whoever stores its lease first has it.
func (t *table) pickForeign(p *pool, mac station) (netip.Addr, string) {
	for now := t.now(); p.foreign.Len() > 0 && !p.foreign[0].due.After(now); {
		e := p.foreign[0]
		if t.usable(e.addr, mac) {
			return e.addr, "address of another server's share, since none of this one's is free"
		}
		e.later(now)
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
		return refused("%s is %s", addr, t.obstacle(addr, mac))
	case !reserved && !t.allowed(addr, mac):
		return refused("%s is kept for machines of the site", addr)
	}
	// A free address of the range is granted even if there is no lease: only this
	// server and those that share the store give it out.
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
	return Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: now.Add(releaseHold)}, true
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
	if e := t.byAddr[a]; e != nil && e.isTaken(mac, t.now()) {
		return false
	}
	return t.usable(a, mac)
}

// obstacle says why an address is not free for a client, as the end of a sentence.
func (t *table) obstacle(a netip.Addr, mac station) string {
	now := t.now()
	e := t.byAddr[a]
	switch {
	case e == nil || !e.isTaken(mac, now):
	case e.kept.until.After(now) && e.kept.mac != mac && e.kept.mac != station{}:
		return "leased to " + e.kept.mac.String()
	case !e.owned || e.mac == mac:
		return "kept out of use, since another station may have it"
	case e.bound:
		return "leased to " + e.mac.String()
	default:
		return "offered to " + e.mac.String()
	}
	if t.reserver != nil {
		if owner, reserved := t.reserver.Reserved(a); reserved {
			return "reserved for " + owner.String()
		}
	}
	return "an address that no client gets"
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
// the queue, as unused from now on. One that has a lease in the store stays known.
func (t *table) drop(e *entry) {
	if e.owned {
		delete(t.byMAC, e.mac)
	}
	now := t.now()
	if e.queue == nil && !e.kept.until.After(now) {
		delete(t.byAddr, e.addr)
		return
	}
	e.owned, e.bound = false, false
	t.setUntil(e, now)
}

// add makes an address known that had no entry.
func (t *table) add(e *entry) {
	for _, p := range t.pools {
		if p.Contains(e.addr) {
			t.insert(e, &p.queue)
			return
		}
	}
	t.byAddr[e.addr] = e
}

// insert makes an address of a pool known.
func (t *table) insert(e *entry, q *expiryQueue) {
	t.byAddr[e.addr] = e
	e.queue = q
	heap.Push(q, e)
}

// setUntil changes how long this server keeps an address from other clients. They
// look at it when its lease in the store has ended, too.
func (t *table) setUntil(e *entry, until time.Time) {
	e.until, e.due = until, until
	if e.kept.until.After(until) {
		e.due = e.kept.until
	}
	if e.queue != nil {
		heap.Fix(e.queue, e.index)
	}
}

// later puts off when an address is looked at.
func (e *entry) later(now time.Time) {
	e.due = now.Add(recheck)
	heap.Fix(e.queue, e.index)
}

// move puts an address into another queue.
func (e *entry) move(to *expiryQueue) {
	heap.Remove(e.queue, e.index)
	e.queue = to
	heap.Push(to, e)
}

func stationOf(mac net.HardwareAddr) (station, bool) {
	if len(mac) != 6 {
		return station{}, false
	}
	return station(mac), true
}
