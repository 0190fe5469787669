package v6

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
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

// usable is how many addresses are given out, the first ones of the sequence. It is
// bounded so that they are used again, and the lease store does not grow with each client
// that ever came.
func (p pool) usable() uint64 { return min(p.size(), maxEntries) }

// open is how many addresses any client may have, the first ones of the usable ones. The
// others are for clients that the registry knows.
func (p pool) open() uint64 { return p.usable() - p.usable()/ownShare }

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

// places are all the places below a limit, in the order in which an address is looked for
// there. It follows from the client alone. So the client gets the same address again
// without anything to remember, and servers that share a pool seldom offer one address
// to two clients. Each client goes through them in steps of its own, which finds a free
// one soon even if few are left.
func places(mac dhcp.Station, limit uint64) iter.Seq[uint64] {
	h := fnv.New64a()
	h.Write(mac[:])
	x := h.Sum64() // its upper bits differ little between addresses of one maker
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x ^= x >> 33
	return func(yield func(uint64) bool) {
		if limit == 0 {
			return
		}
		step := 1 + x>>32%limit
		for gcd(step, limit) != 1 {
			step++ // only steps that share no divisor with the limit come to all places
		}
		place := x % limit
		for range limit {
			if !yield(place) {
				return
			}
			place = (place + step) % limit
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
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
