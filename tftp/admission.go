package tftp

import (
	"net/netip"
	"sync"
)

// place identifies a download under way, so that a repeated request is not
// answered twice. A client that starts over from the same port with another
// request gets another place, except on a shared port: there request is empty.
type place struct {
	remote  netip.AddrPort
	request string
}

// verdict says what to do with a request.
type verdict uint8

const (
	admitted  verdict = iota
	duplicate         // drop it: its download runs already and repeats its own packets
	overLimit         // drop it: the client will ask again
	newlyFull         // the same, for the first time in this rush
)

// admission bounds the downloads under way. It remembers nothing about
// requests that it turned down, so no stream of packets makes it grow.
type admission struct {
	max, perHost int

	mu     sync.Mutex
	taken  map[place]struct{}
	byHost map[netip.Addr]int
	full   bool // a rush was reported, and half of the places are not yet free again
}

func newAdmission(max, perHost int) *admission {
	return &admission{
		max: max, perHost: perHost,
		taken:  make(map[place]struct{}),
		byHost: make(map[netip.Addr]int),
	}
}

// admit takes the place p. If it returns admitted, the caller must release p.
func (a *admission) admit(p place) verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.taken[p]; ok {
		return duplicate
	}
	host := p.remote.Addr()
	if len(a.taken) >= a.max || a.byHost[host] >= a.perHost {
		if a.full {
			return overLimit
		}
		a.full = true
		return newlyFull
	}
	a.taken[p] = struct{}{}
	a.byHost[host]++
	return admitted
}

// release gives the place p back.
func (a *admission) release(p place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, p)
	host := p.remote.Addr()
	if a.byHost[host]--; a.byHost[host] <= 0 {
		delete(a.byHost, host)
	}
	if len(a.taken) <= a.max/2 && a.byHost[host] <= a.perHost/2 {
		a.full = false
	}
}
