// Package table decides which client of an IPv4 network has which address, and until when.
//
// A [Table] holds what this server promised and what is in the lease store. It sends no
// packets and writes no leases: it says what has to be stored, and is told what was
// ([Table.Learn]). Several servers that share a store divide the free addresses among them
// ([Members]).
package table

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// offerTime is how long an offered address is held for its client to
	// request it.
	offerTime = time.Minute
	// Quarantine is how long an address is kept out of the pool after a
	// client found another station at it.
	Quarantine = 10 * time.Minute
	// releaseHold is how long a released address is kept for the client that
	// had it. Anyone on the network can forge a release.
	releaseHold = 2 * time.Minute
	// recheck is how long an unused address that is reserved for one client is
	// not looked at when another client needs one. The reservation may be gone
	// after that.
	recheck = 5 * time.Second
)

// Table says which client has which address of one network, and until when.
//
// A client is its MAC and not its client identifier (option 61): firmware,
// loader and operating system of one machine send different identifiers, but
// should all get the same address.
type Table struct {
	network  dhcp.Network
	avoid    []netip.Addr          // addresses of servers and routers, which no client gets
	Own      func(netip.Addr) bool // no client gets an address for which this is true; nil if there are none
	now      func() time.Time
	reserver dhcp.Reserver
	registry dhcp.Registry // nil if all clients are equal
	Members  Members

	mu     sync.Mutex
	byAddr map[netip.Addr]*entry
	byMAC  map[dhcp.Station]*entry
	// unsettled counts the changes of an address that were handed out to be stored, and
	// of which it is not known what became of them.
	unsettled map[netip.Addr]int
	// pools are the parts of the pool. The last ones are for clients that the
	// registry knows.
	pools []*pool
	// sharing are the servers that share the pools, as of the last look, and
	// foreign says which slots are not this one's.
	sharing []string
	foreign [slots]bool
}

// New makes the table of a network. booter may be nil, a [Reserver], a
// [Registry], or both.
func New(n dhcp.Network, booter any, now func() time.Time, avoid ...netip.Addr) *Table {
	t := &Table{
		network: n, avoid: avoid, now: now,
		byAddr: map[netip.Addr]*entry{}, byMAC: map[dhcp.Station]*entry{}, unsettled: map[netip.Addr]int{},
	}
	t.reserver, _ = booter.(dhcp.Reserver)
	t.registry, _ = booter.(dhcp.Registry)
	t.pools = newPools(n.Pool, t.registry != nil)
	return t
}

// Offer chooses an address for a client and holds it for offerTime. wanted is
// the address that the client asked for, or invalid.
func (t *Table) Offer(mac dhcp.Station, wanted netip.Addr) dhcp.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, note := t.findReservation(mac)
	addr, reason := t.choose(mac, wanted, r.Addr, note)
	if !addr.IsValid() {
		return dhcp.Grant{Reason: reason, Misplaced: note}
	}
	unproven := addr != r.Addr && !t.proven(addr, mac)
	t.hold(addr, mac, t.now().Add(offerTime))
	return dhcp.Grant{
		Verdict: dhcp.Granted, Addr: addr, Hostname: r.Hostname, Term: t.network.Term(), Reason: reason,
		Misplaced: note, Unproven: unproven,
	}
}

// hold keeps an address for a client at least until a time. A lease that has
// not ended stays one: if the client then takes the offer of another server, it
// does not lose what it has here.
func (t *Table) hold(addr netip.Addr, mac dhcp.Station, until time.Time) {
	e := t.byAddr[addr]
	if e == nil || !e.owned || e.mac != mac || !e.until.After(t.now()) {
		t.assign(addr, mac, false, until)
		return
	}
	if until.After(e.until) {
		t.setUntil(e, until)
	}
}

// choose finds the best address for a client. reserved is the address that is kept
// for it, or invalid; note says why that one cannot be given now. reason says why an
// address is the best, or why there is none.
func (t *Table) choose(mac dhcp.Station, wanted, reserved netip.Addr, note string) (addr netip.Addr, reason string) {
	if reserved.IsValid() && note == "" {
		return reserved, "address reserved for this client"
	}
	switch e := t.byMAC[mac]; {
	case e != nil && t.network.Pool.Contains(e.addr) && t.usable(e.addr, mac) && t.allowed(e.addr, mac):
		addr, reason = e.addr, "address that the client had before"
	case t.network.Pool.Contains(wanted) && t.free(wanted, mac) && t.allowed(wanted, mac):
		addr, reason = wanted, "address that the client asked for"
	default:
		addr, reason = t.pick(mac)
	}
	if note != "" {
		reason += " (" + note + ")"
	}
	return addr, reason
}

// findReservation returns the client's reservation. note is empty if its address
// can be given now, and says why not otherwise.
func (t *Table) findReservation(mac dhcp.Station) (r dhcp.Reservation, note string) {
	if t.reserver == nil {
		return r, ""
	}
	r, _ = t.reserver.Reserve(net.HardwareAddr(mac[:]), t.network.Subnet)
	switch e := t.byAddr[r.Addr]; {
	case !r.Addr.IsValid():
	case !t.network.Subnet.Contains(r.Addr):
		note = fmt.Sprintf("reserved address %s is not in %s", r.Addr, t.network.Subnet.Masked())
	case !t.assignable(r.Addr):
		note = fmt.Sprintf("reserved address %s is %s", r.Addr, t.purpose(r.Addr))
	case e != nil && e.isTaken(mac, t.now()):
		note = fmt.Sprintf("reserved address %s is %s", r.Addr, t.obstacle(r.Addr, mac))
	}
	return r, note
}

// Request decides on a client's REQUEST for addr. selecting says that the
// client chose our offer: it then waits for an answer, so it gets a NAK where
// another client gets none.
func (t *Table) Request(mac dhcp.Station, addr netip.Addr, selecting bool) dhcp.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := func(format string, args ...any) dhcp.Grant {
		return dhcp.Grant{Verdict: dhcp.Refused, Addr: addr, Reason: fmt.Sprintf(format, args...)}
	}
	if !t.network.Subnet.Contains(addr) {
		return refused("%s is not an address of %s", addr, t.network.Subnet.Masked())
	}
	r, note := t.findReservation(mac)
	reserved := r.Addr.IsValid() && note == ""
	switch {
	case reserved && r.Addr != addr && !t.keeps(mac, addr, r.Addr):
		return refused("%s is reserved for this client, not %s", r.Addr, addr)
	case !reserved && !t.network.Pool.Contains(addr) && selecting:
		return refused("%s is not an address of the pool", addr)
	case !reserved && !t.network.Pool.Contains(addr):
		return dhcp.Grant{Reason: fmt.Sprintf("%s is not an address of the pool", addr)}
	case !t.free(addr, mac):
		return refused("%s is %s", addr, t.obstacle(addr, mac))
	case !reserved && !t.allowed(addr, mac):
		return refused("%s is kept for machines of the site", addr)
	}
	// A free address of the range is granted even if there is no lease: only this
	// server and those that share the store give it out.
	term := t.network.Term()
	return dhcp.Grant{Verdict: dhcp.Granted, Addr: addr, Hostname: r.Hostname, Term: term, Reason: "lease confirmed"}
}

// Bind makes a granted address the client's. It returns what has to be stored:
// the lease, and the address that the client leaves for it, if any. ok is false
// if the address went to another client meanwhile. When the end of that is known,
// Settled has to be called with both addresses.
func (t *Table) Bind(mac dhcp.Station, g dhcp.Grant) (l dhcp.Lease, left netip.Addr, ok bool) {
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
	t.unsettle(g.Addr, left)
	return dhcp.Lease{Addr: g.Addr, MAC: net.HardwareAddr(mac[:]), Hostname: g.Hostname, Expires: until}, left, true
}

// Release ends a client's lease. For releaseHold, and until another client needs
// the address, the same client can have it again. When the returned lease is stored, or
// cannot be, Settled has to be called.
func (t *Table) Release(mac dhcp.Station, addr netip.Addr) (dhcp.Lease, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != addr || !e.bound {
		return dhcp.Lease{}, false
	}
	now := t.now()
	t.assign(addr, mac, false, now.Add(releaseHold))
	t.unsettle(addr)
	return dhcp.Lease{Addr: addr, MAC: net.HardwareAddr(mac[:]), Expires: now.Add(releaseHold)}, true
}

// Decline puts an address into quarantine. Only the client that was given the
// address can decline it. A reserved address is not put into quarantine: its
// client would lose it by one forged packet, and no other can have it anyway. When
// the quarantine of another one is stored, or cannot be, Settled has to be called.
func (t *Table) Decline(mac dhcp.Station, addr netip.Addr) (declined, reserved bool) {
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
	t.setUntil(e, t.now().Add(Quarantine))
	t.unsettle(addr)
	return true, false
}

// Withdraw frees the address that was offered to a client that then chose
// another server.
func (t *Table) Withdraw(mac dhcp.Station) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byMAC[mac]; e != nil && !e.bound {
		t.setUntil(e, t.now())
	}
}

// free says whether a client may have an address now.
func (t *Table) free(a netip.Addr, mac dhcp.Station) bool {
	if e := t.byAddr[a]; e != nil && e.isTaken(mac, t.now()) {
		return false
	}
	return t.usable(a, mac)
}

// obstacle says why an address is not free for a client, as the end of a sentence.
func (t *Table) obstacle(a netip.Addr, mac dhcp.Station) string {
	now := t.now()
	e := t.byAddr[a]
	switch {
	case e == nil || !e.isTaken(mac, now):
	case e.kept.until.After(now) && e.kept.mac != mac && e.kept.mac != dhcp.Station{}:
		return "leased to " + e.kept.mac.String()
	case e.answers && e.owned && e.mac != mac:
		return "in use by " + e.mac.String() + ", which has no lease"
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
	if purpose := t.purpose(a); purpose != "" {
		return purpose
	}
	return "free by now"
}

// assign gives an address to a client. The address's previous client and the
// client's previous address lose each other.
func (t *Table) assign(a netip.Addr, mac dhcp.Station, bound bool, until time.Time) {
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
	e.mac, e.owned, e.bound, e.answers = mac, true, bound, false
	t.byMAC[mac] = e
	t.setUntil(e, until)
}

// drop takes an address away from its client. An address of the range stays in
// the queue, as unused from now on. One that has a lease in the store stays known.
func (t *Table) drop(e *entry) {
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
func (t *Table) add(e *entry) {
	for _, p := range t.pools {
		if p.Contains(e.addr) {
			t.insert(e, p.queue(e.addr))
			return
		}
	}
	t.byAddr[e.addr] = e
}

// insert makes an address of a pool known.
func (t *Table) insert(e *entry, q *expiryQueue) {
	t.byAddr[e.addr] = e
	e.queue = q
	heap.Push(q, e)
}

// setUntil changes how long this server keeps an address from other clients. They
// look at it when its lease in the store has ended, too.
func (t *Table) setUntil(e *entry, until time.Time) {
	e.until, e.due = until, until
	if e.kept.until.After(until) {
		e.due = e.kept.until
	}
	if e.queue != nil {
		heap.Fix(e.queue, e.index)
	}
}
