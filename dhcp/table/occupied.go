package table

import (
	"net/netip"

	"cloudlets/dhcp"
)

// proven says whether a client had an address with a lease before: then it need not
// be looked for another station there.
func (t *Table) proven(a netip.Addr, mac dhcp.Station) bool {
	e := t.byAddr[a]
	return e != nil && e.owned && e.mac == mac && (e.bound || e.kept.mac == mac)
}

// Occupy keeps an address out of use for the time of a quarantine, since a station
// answers at it without a lease. It returns false if the address has a lease.
//
// The station itself may have the address: it can have got it with a lease that this
// server has lost, or takes to have ended.
func (t *Table) Occupy(a netip.Addr, holder dhcp.Station) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	e := t.byAddr[a]
	switch {
	case e == nil:
		e = &entry{addr: a}
		t.add(e)
	case e.bound && e.until.After(now) || e.kept.until.After(now):
		return false
	case e.owned:
		delete(t.byMAC, e.mac)
	}
	e.owned, e.bound, e.answers = false, false, true
	if t.byMAC[holder] == nil {
		e.mac, e.owned = holder, true
		t.byMAC[holder] = e
	}
	t.setUntil(e, now.Add(Quarantine))
	return true
}

// Upcoming lists addresses that clients will be offered next if they had none before,
// about n of each part of the pool.
func (t *Table) Upcoming(n int) (list []netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.share()
	for _, p := range t.pools {
		unused := t.upcomingUnused(p, n)
		list = append(append(list, unused...), t.upcomingKnown(p, n-len(unused))...)
	}
	return list
}

// upcomingUnused lists addresses of a pool that were never given out.
func (t *Table) upcomingUnused(p *pool, n int) (list []netip.Addr) {
	a := p.nextUnused
	for range 4 * n { // a bound, since reserved ones may come first
		if len(list) >= n || !p.Contains(a) {
			break
		}
		if t.byAddr[a] == nil && !t.foreign[slotOf(a)] && t.usable(a, dhcp.Station{}) {
			list = append(list, a)
		}
		a = a.Next()
	}
	return list
}

// upcomingKnown lists addresses of a pool that nothing holds any more. What is near
// the top of a queue is due about first.
func (t *Table) upcomingKnown(p *pool, n int) (list []netip.Addr) {
	now := t.now()
	for slot, q := range p.known {
		if t.foreign[slot] {
			continue
		}
		for _, e := range q[:min(len(q), 1+n/slots)] {
			if len(list) < n && !e.due.After(now) && t.usable(e.addr, dhcp.Station{}) {
				list = append(list, e.addr)
			}
		}
	}
	return list
}

// Used is how many addresses of the pool cannot be given to another client now.
func (t *Table) Used() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for a, e := range t.byAddr {
		if t.network.Pool.Contains(a) && (e.until.After(now) || e.kept.until.After(now)) {
			n++
		}
	}
	return n
}
