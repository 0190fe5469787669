package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// ownShare is which part of a range is kept for known clients: a quarter.
const ownShare = 4

// pool is a part of a network's range, and what is known of its addresses.
type pool struct {
	Range
	queue expiryQueue // of the addresses that have an entry
	// foreign is of addresses that were found to be another server's share.
	foreign expiryQueue
	// nextUnused is where to look for an address that was never given out: all
	// lower ones have an entry, or can never be given.
	nextUnused netip.Addr
}

// newPools divides a range into a part for all clients and, if known clients get
// a share of their own and the range is not very small, a part for these.
func newPools(r Range, share bool) []*pool {
	if !r.First.IsValid() {
		return nil
	}
	first, last := number(r.First), number(r.Last)
	own := (last - first + 1) / ownShare
	if !share || own == 0 {
		return []*pool{{Range: r, nextUnused: r.First}}
	}
	border := address(last - own)
	return []*pool{
		{Range: Range{r.First, border}, nextUnused: r.First},
		{Range: Range{border.Next(), r.Last}, nextUnused: border.Next()},
	}
}

// mingle forgets which addresses are another server's share.
func (p *pool) mingle() {
	for len(p.foreign) > 0 {
		p.foreign[len(p.foreign)-1].move(&p.queue)
	}
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

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
