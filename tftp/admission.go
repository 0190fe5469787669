package tftp

import (
	"net/netip"
	"sync"
)

// flow identifies a transfer that is under way, so that a repeated request is
// not answered twice. A client that starts over from the same port with
// another request gets another flow, unless the server has a single port:
// there request is empty.
type flow struct {
	remote  netip.AddrPort
	request string
}

// verdict says what becomes of a request.
type verdict uint8

const (
	admitted  verdict = iota
	duplicate         // its transfer runs already and repeats its own packets
	overLimit         // dropped; the client will ask again
	newlyFull         // the same, for the first time in this rush
)

// admission bounds the transfers under way. It holds nothing about requests
// that are not, so no stream of packets makes it grow.
type admission struct {
	max, perHost int

	mu    sync.Mutex
	flows map[flow]struct{}
	hosts map[netip.Addr]int
	full  bool // a rush was reported; until half the room is free again
}

func newAdmission(max, perHost int) *admission {
	return &admission{
		max: max, perHost: perHost,
		flows: make(map[flow]struct{}),
		hosts: make(map[netip.Addr]int),
	}
}

// admit takes a place for f, which the caller gives back with release.
func (a *admission) admit(f flow) verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.flows[f]; ok {
		return duplicate
	}
	host := f.remote.Addr()
	if len(a.flows) >= a.max || a.hosts[host] >= a.perHost {
		if a.full {
			return overLimit
		}
		a.full = true
		return newlyFull
	}
	a.flows[f] = struct{}{}
	a.hosts[host]++
	return admitted
}

// release gives the place of f back.
func (a *admission) release(f flow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.flows, f)
	host := f.remote.Addr()
	if a.hosts[host]--; a.hosts[host] <= 0 {
		delete(a.hosts, host)
	}
	if len(a.flows) <= a.max/2 && a.hosts[host] <= a.perHost/2 {
		a.full = false
	}
}
