package dhcp

import (
	"encoding/binary"
	"net/netip"
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

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
