package dhcp

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// freeFor is how long an address that no station answered for is taken to be free.
	freeFor = 5 * time.Minute
	// minAhead and maxAhead bound how many addresses are looked at ahead of need. It
	// grows when clients come faster than that.
	minAhead, maxAhead = 64, 1024
	// maxLooks is how many addresses are looked at ahead of need at once.
	maxLooks = 256
	// maxFree is how many addresses are remembered as free.
	maxFree = 8 * maxAhead
	// maxChecking is how many offers may wait for a look at their address, per
	// interface. Further ones are made at once: their clients look themselves.
	maxChecking = 4096
	// maxMoves is how many addresses are tried for one offer. Those that are in use
	// are found within milliseconds, and a look that finds none ends the search.
	maxMoves = 32
)

// lookout finds out whether a station has an address before a client is offered it
// that never had it (RFC 2131, 2.2 and 4.3.1). A host with a fixed address in the pool
// keeps it, and so does one whose lease this server has lost. The next addresses of the
// pool are looked at ahead of need, so that few offers wait.
type lookout struct {
	neighbours neighbours
	table      *table // the interface's own network
	now        func() time.Time
	log        *slog.Logger
	wake       chan struct{} // has room for one
	told       throttle

	mu     sync.Mutex
	free   map[netip.Addr]time.Time // when nobody answered for an address
	ahead  int
	used   int  // offers since run last looked ahead
	missed bool // one of these had to wait
}

func newLookout(n neighbours, t *table, now func() time.Time, log *slog.Logger) *lookout {
	return &lookout{neighbours: n, table: t, now: now, log: log, wake: make(chan struct{}, 1), free: map[netip.Addr]time.Time{}, ahead: minAhead}
}

// run looks at addresses ahead of need until ctx ends.
func (l *lookout) run(ctx context.Context) error {
	for {
		l.lookAhead(ctx)
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *lookout) lookAhead(ctx context.Context) {
	var looks errgroup.Group
	looks.SetLimit(maxLooks)
	for _, a := range l.table.upcoming(l.howMany()) {
		if ctx.Err() == nil && !l.isFree(a) {
			looks.Go(func() error { l.look(ctx, a, station{}); return nil })
		}
	}
	_ = looks.Wait() // it has no errors
}

// howMany is how many addresses to look at ahead now: twice as many as last time if an
// offer had to wait since then.
func (l *lookout) howMany() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missed {
		l.ahead = min(2*l.ahead, maxAhead)
	} else {
		l.ahead = minAhead
	}
	l.used, l.missed = 0, false
	return l.ahead
}

// needsLook says whether an offer has to wait for a look at its address. It has
// further ones looked at when half of those looked at ahead may be used up.
func (l *lookout) needsLook(g Grant) bool {
	if l == nil || !g.unproven {
		return false
	}
	free := l.isFree(g.Addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used++
	l.missed = l.missed || !free
	if l.missed || l.used >= l.ahead/2 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return !free
}

func (l *lookout) isFree(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.free[a]
	return ok && l.now().Sub(at).Abs() < freeFor
}

// settle looks at the address of an offer, and finds another one while a station other
// than the client has it. offer makes a new offer.
func (l *lookout) settle(ctx context.Context, mac station, g Grant, offer func() Grant) Grant {
	for range maxMoves {
		if !g.unproven || l.isFree(g.Addr) || !l.look(ctx, g.Addr, mac) {
			return g
		}
		g = offer()
	}
	return Grant{Reason: "other stations answer at the addresses of the pool that were tried: look for those with fixed addresses, or for one that answers for all"}
}

// look says whether a station other than the client has an address. If one has, no
// other client gets the address for the time of a quarantine.
func (l *lookout) look(ctx context.Context, a netip.Addr, client station) (taken bool) {
	holder, found, err := l.neighbours.who(ctx, a)
	switch {
	case err != nil:
		l.log.Debug("cannot look for a station at an address", "address", a, "error", err)
		return false
	case found && holder != client:
		if l.table.occupy(a, holder) && l.told.pass(l.now()) {
			l.log.Warn("a station has an address of the pool without a lease; the address is kept out of use: leave it out of the pool, or reserve it for that station",
				"address", a, "station", holder.String(), "unused for", quarantine.String())
		}
		return true
	case ctx.Err() == nil:
		l.noteFree(a)
	}
	return false
}

func (l *lookout) noteFree(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) >= maxFree {
		clear(l.free)
	}
	l.free[a] = l.now()
}
