package table

import (
	"container/heap"
	"net/netip"
	"time"

	"cloudlets/dhcp"
)

// entry is an address that is or was in use. It stays after it has expired, so
// that its client gets the same address again if no other needed it.
//
// What this server has promised and what is in the store are kept apart: one
// server's offer says nothing to the others, and what it takes back itself may stay
// in the store. A client gets an address only if neither is another's.
type entry struct {
	addr  netip.Addr
	mac   dhcp.Station
	owned bool // mac is the client's; false in quarantine, and for addresses that were given up
	bound bool // leased and not only offered
	// answers says that a station was found there that has no lease.
	answers bool
	until   time.Time
	kept    keptLease
	due     time.Time    // when a client that needs an address looks at this one
	queue   *expiryQueue // of a pool; nil for an address outside the range
	index   int          // in the queue
}

// keptLease is the lease that an address has in the store, as far as this server was
// told. The zero value is none; that of the zero station is no client's.
type keptLease struct {
	mac      dhcp.Station
	until    time.Time
	hostname string
}

// rest is for how long a client still has an address by what is in the store.
func (k keptLease) rest(mac dhcp.Station, now time.Time) time.Duration {
	if k.mac != mac {
		return 0
	}
	return max(0, k.until.Sub(now))
}

// isTaken says whether an address is another client's, or nobody's, at a time.
func (e *entry) isTaken(mac dhcp.Station, now time.Time) bool {
	return e.until.After(now) && !(e.owned && e.mac == mac) || e.kept.until.After(now) && e.kept.mac != mac
}

// later puts off when an address is looked at.
func (e *entry) later(now time.Time) {
	e.due = now.Add(recheck)
	heap.Fix(e.queue, e.index)
}

// expiryQueue is a heap of entries for container/heap; the one that is due
// first is at its top.
type expiryQueue []*entry

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push adds an *entry at the end.
func (q *expiryQueue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop removes the last entry.
func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
