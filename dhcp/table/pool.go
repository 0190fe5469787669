package table

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"cloudlets/dhcp"
)

// ownShare is which part of a range is kept for known clients: a quarter.
const ownShare = 4

// slots is how many slots the addresses of a pool are divided into, by their hash.
// Servers share out slots and not addresses, so that nothing is to be done for each
// address when a server comes or goes.
const slots = 128

// pool is a range of a network's pool, or a part of one, and what is known of its
// addresses.
type pool struct {
	dhcp.Range
	own   bool               // for clients that the registry knows
	known [slots]expiryQueue // of the addresses that have an entry
	// nextUnused is where to look for an address that was never given out: all
	// lower ones have an entry.
	nextUnused netip.Addr
}

// newPools divides ranges into parts for all clients and, if known clients get a
// share of their own, parts for these. Each range that is not very small has such
// a share. The parts for all come first.
func newPools(ranges dhcp.Ranges, share bool) []*pool {
	var all, own []*pool
	for _, r := range ranges {
		open, kept := r.Part(ownShare)
		if !share || !kept.First.IsValid() {
			all = append(all, &pool{Range: r, nextUnused: r.First})
			continue
		}
		all = append(all, &pool{Range: open, nextUnused: open.First})
		own = append(own, &pool{Range: kept, own: true, nextUnused: kept.First})
	}
	return append(all, own...)
}

// slotOf is the slot of an address.
func slotOf(a netip.Addr) int {
	return int(scramble(uint64(binary.BigEndian.Uint32(a.AsSlice()))) % slots)
}

// queue is the queue of an address.
func (p *pool) queue(a netip.Addr) *expiryQueue { return &p.known[slotOf(a)] }

// pick chooses an address of the pool: one that was never used, or else the one
// that has been unused for longest. It takes one of another server's share only if
// none of this one's is free; then whoever stores its lease first has it.
func (t *Table) pick(mac dhcp.Station) (netip.Addr, string) {
	known := t.isKnown(mac)
	t.share()
	for _, foreign := range []bool{false, true} {
		for _, p := range t.pools {
			if p.own && !known {
				break
			}
			if !foreign {
				if a := t.pickUnused(p, mac); a.IsValid() {
					return a, "first free address of the pool"
				}
			}
			if a := t.pickKnown(p, mac, foreign); a.IsValid() {
				return a, pickedFrom(foreign)
			}
		}
	}
	reason := fmt.Sprintf("no address is free in the pool %q: make the range larger or the lease time shorter", t.network.Pool)
	for _, p := range t.pools {
		if p.own && !known {
			reason += fmt.Sprintf("; %s are kept for machines of the site", p.Range)
		}
	}
	return netip.Addr{}, reason
}

func pickedFrom(foreign bool) string {
	if foreign {
		return "address of another server's share, since none of this one's is free"
	}
	return "address longest unused"
}

// share finds out which slots are another server's, if the servers have changed.
func (t *Table) share() {
	self, live := t.Members.Now()
	if slices.Equal(live, t.sharing) {
		return
	}
	t.sharing = live
	for slot := range t.foreign {
		t.foreign[slot] = len(live) > 1 && ownerOf(slotKey|uint64(slot), live) != self
	}
}

// pickUnused chooses an address of this server's share that was never given out.
// Those of the others get an entry, in which they are found if they are needed.
func (t *Table) pickUnused(p *pool, mac dhcp.Station) netip.Addr {
	for ; p.Contains(p.nextUnused); p.nextUnused = p.nextUnused.Next() {
		a := p.nextUnused
		switch {
		case t.byAddr[a] != nil:
		case !t.foreign[slotOf(a)] && t.usable(a, mac):
			return a
		default:
			t.insert(&entry{addr: a}, p.queue(a)) // another client may have it, or this one when nothing holds it any more
		}
	}
	return netip.Addr{}
}

// pickKnown chooses an address that has an entry, of this server's share or of the
// others'.
func (t *Table) pickKnown(p *pool, mac dhcp.Station, foreign bool) netip.Addr {
	now := t.now()
	for {
		e := t.firstDue(p, foreign)
		switch {
		case e == nil || e.due.After(now):
			return netip.Addr{}
		case t.usable(e.addr, mac):
			return e.addr
		}
		e.later(now)
	}
}

// firstDue is the address of a share that is due first, or nil.
func (t *Table) firstDue(p *pool, foreign bool) (first *entry) {
	for slot, q := range p.known {
		if t.foreign[slot] == foreign && len(q) > 0 && (first == nil || q[0].due.Before(first.due)) {
			first = q[0]
		}
	}
	return first
}
