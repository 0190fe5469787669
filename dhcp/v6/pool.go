package v6

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/netip"

	"cloudlets/dhcp"
)

// ownShare is which part of a pool is kept for known clients: a quarter.
const ownShare = 4

// pool is what addresses a network gives out, as one sequence of them.
type pool []dhcp.Range

func (p pool) contains(a netip.Addr) bool {
	for _, r := range p {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// size is how many addresses there are, or the largest number if there are more.
func (p pool) size() (n uint64) {
	for _, r := range p {
		if n += length(r); n < length(r) {
			return math.MaxUint64
		}
	}
	return n
}

// open is how many addresses any client may have, the first ones of the sequence. The
// others are for clients that the registry knows.
func (p pool) open() uint64 { return p.size() - p.size()/ownShare }

// index is the place of an address in the sequence. The pool must contain it.
func (p pool) index(a netip.Addr) (i uint64) {
	for _, r := range p {
		if r.Contains(a) {
			return i + lower(a) - lower(r.First)
		}
		i += length(r)
	}
	return i
}

// at is the address at a place that is less than the size.
func (p pool) at(i uint64) netip.Addr {
	for _, r := range p {
		if i < length(r) {
			return addressOf(upper(r.First), lower(r.First)+i)
		}
		i -= length(r)
	}
	return netip.Addr{}
}

// place is where a client's address is looked for first, below a limit that is not
// zero. It follows from the client alone. So the client gets the same address again
// without anything to remember, and servers that share a pool seldom offer one address
// to two clients.
func place(mac dhcp.Station, limit uint64) uint64 {
	h := fnv.New64a()
	h.Write(mac[:])
	x := h.Sum64() // its upper bits differ little between addresses of one maker
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	return (x ^ x>>33) % limit
}

// length is how many addresses a range has, at most the largest number.
func length(r dhcp.Range) uint64 {
	if n := lower(r.Last) - lower(r.First); n < math.MaxUint64 {
		return n + 1
	}
	return math.MaxUint64
}

func upper(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])
}

func lower(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[8:])
}

func addressOf(upper, lower uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], upper)
	binary.BigEndian.PutUint64(b[8:], lower)
	return netip.AddrFrom16(b)
}
