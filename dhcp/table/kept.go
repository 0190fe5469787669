package table

import (
	"fmt"
	"net/netip"
	"time"

	"cloudlets/dhcp"
)

// Learn takes over leases that are in the store, whoever stored them. all says
// that there are no others.
func (t *Table) Learn(leases []dhcp.Lease, all bool) {
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
func (t *Table) forgetKept() map[*entry]keptLease {
	before := map[*entry]keptLease{}
	for _, e := range t.byAddr {
		if !e.kept.until.IsZero() {
			before[e], e.kept = e.kept, keptLease{}
		}
	}
	return before
}

// load takes over the lease of one address. The caller holds mu.
func (t *Table) load(l dhcp.Lease, all bool) {
	mac, ok := dhcp.StationOf(l.MAC)
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
	e.kept = keptLease{mac, l.Expires, l.Hostname}
	t.setUntil(e, e.until)
	switch old := t.byMAC[mac]; {
	case mac == dhcp.Station{}:
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
func (t *Table) released(l dhcp.Lease) bool { return !l.Expires.After(t.now().Add(releaseHold)) }

// vanish takes over that an address has no lease in the store any more. was is the
// one that it had.
func (t *Table) vanish(e *entry, was keptLease) {
	if e.owned && e.bound && e.mac == was.mac {
		t.drop(e)
		return
	}
	t.setUntil(e, e.until)
}

// Concede takes over the lease that stood in the way of a client's, unless the
// store has told of the address meanwhile.
func (t *Table) Concede(mac dhcp.Station, l dhcp.Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free(l.Addr, mac) {
		t.load(l, false)
	}
}

// Lost is the Grant of an address that another client got meanwhile.
func (t *Table) Lost(mac dhcp.Station, g dhcp.Grant) dhcp.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := fmt.Sprintf("%s was given to another client meanwhile: it is %s", g.Addr, t.obstacle(g.Addr, mac))
	return dhcp.Grant{Verdict: dhcp.Refused, Addr: g.Addr, Reason: reason}
}

// HasStored says whether a client has a lease in the store that has not ended.
func (t *Table) HasStored(mac dhcp.Station) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	return e != nil && e.kept.rest(mac, t.now()) > 0
}

// youngPart is which part of its term a lease is young for: a quarter, as in ISC's server.
const youngPart = 4

// Young returns for how long a client has an address by what is in the store, and whether
// that is nearly the whole term of what it is granted. Such a lease need not be stored
// anew: firmware, boot loader, agent and system of one machine ask for the same address
// within minutes. A lease that is longer than the term now is, as after a change of the
// configuration or of the clock, is stored anew, and so is one of which changes are on
// their way to the store.
func (t *Table) Young(mac dhcp.Station, g dhcp.Grant, hostname string) (rest time.Duration, young bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byMAC[mac]
	if e == nil || e.addr != g.Addr || !e.bound || e.kept.hostname != hostname || t.unsettled[g.Addr] > 0 {
		return 0, false
	}
	rest = e.kept.rest(mac, t.now())
	return rest.Truncate(time.Second), rest <= g.Term && rest >= g.Term-g.Term/youngPart
}

// unsettle notes that changes of addresses are on their way to the store. Of those that
// are invalid there is none. The caller holds mu.
func (t *Table) unsettle(addrs ...netip.Addr) {
	for _, a := range addrs {
		if a.IsValid() {
			t.unsettled[a]++
		}
	}
}

// Settled says that a change of some addresses is stored, or could not be.
func (t *Table) Settled(addrs ...netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range addrs {
		if t.unsettled[a]--; t.unsettled[a] <= 0 {
			delete(t.unsettled, a)
		}
	}
}

// Unbind takes back what bind did, since it could not be stored, and returns to the
// client the address that it left. rest is how long the client still has addr by
// the lease that is stored.
func (t *Table) Unbind(mac dhcp.Station, addr, left netip.Addr) (rest time.Duration) {
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
