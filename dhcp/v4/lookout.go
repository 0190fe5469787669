package v4

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/serving"
	"cloudlets/dhcp/table"
)

const (
	// freeFor is how long an address that no station answered for is taken to be free.
	freeFor = 5 * time.Minute
	// aheadFor is for how long addresses are looked at ahead of need. A look takes a
	// quarter of a second.
	aheadFor = 2 * time.Second
	// minAhead and maxAhead bound how many these are.
	minAhead, maxAhead = 64, 4096
	// maxFree is how many addresses are remembered as free, the latest ones.
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
	table      *table.Table // the interface's own network
	now        func() time.Time
	log        *slog.Logger
	wake       chan struct{} // has room for one
	told       serving.Throttle

	mu     sync.Mutex
	free   map[netip.Addr]time.Time // when nobody answered for an address
	before map[netip.Addr]time.Time // what free was before it was half of maxFree
	looked time.Time                // when run last looked ahead
	ahead  int
	used   int // offers since then
}

func newLookout(n neighbours, t *table.Table, now func() time.Time, log *slog.Logger) *lookout {
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
	l.look(ctx, dhcp.Station{}, slices.DeleteFunc(l.table.Upcoming(l.howMany()), l.isFree)...)
}

// howMany is how many addresses to look at ahead now: as many as will be offered in
// aheadFor, if clients come as fast as since last time. It falls slowly, as they come
// in bursts.
func (l *lookout) howMany() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	passed := max(now.Sub(l.looked), ether.ARPTime)
	soon := int(aheadFor * time.Duration(l.used) / passed)
	l.ahead = min(max(soon, l.ahead/2, minAhead), maxAhead)
	l.used, l.looked = 0, now
	return l.ahead
}

// needsLook says whether an offer has to wait for a look at its address. It has
// further ones looked at when half of those looked at ahead may be used up.
func (l *lookout) needsLook(g dhcp.Grant) bool {
	if l == nil || !g.Unproven {
		return false
	}
	free := l.isFree(g.Addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used++
	if !free || l.used >= l.ahead/2 {
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
	if !ok {
		at, ok = l.before[a]
	}
	return ok && l.now().Sub(at).Abs() < freeFor
}

// settle looks at the address of an offer, and finds another one while a station other
// than the client has it. offer makes a new offer.
func (l *lookout) settle(ctx context.Context, client dhcp.Station, g dhcp.Grant, offer func() dhcp.Grant) dhcp.Grant {
	for range maxMoves {
		if !g.Unproven || l.isFree(g.Addr) {
			return g
		}
		if taken := l.look(ctx, client, g.Addr); len(taken) == 0 {
			return g
		}
		g = offer()
	}
	return dhcp.Grant{Reason: "other stations answer at the addresses of the pool that were tried: look for those with fixed addresses, or for one that answers for all"}
}

// look finds out which addresses stations have, other than the client that may be
// offered them. No other clients get these for the time of a quarantine. The other
// addresses are free.
func (l *lookout) look(ctx context.Context, client dhcp.Station, addrs ...netip.Addr) (taken map[netip.Addr]dhcp.Station) {
	if len(addrs) == 0 {
		return nil
	}
	taken, err := l.neighbours.Holders(ctx, addrs...)
	if err != nil {
		l.log.Debug("cannot look for stations at addresses", "addresses", len(addrs), "error", err)
		return nil
	}
	maps.DeleteFunc(taken, func(_ netip.Addr, holder dhcp.Station) bool { return holder == client })
	for a, holder := range taken {
		if l.table.Occupy(a, holder) && l.told.Pass(l.now()) {
			l.log.Warn("a station has an address of the pool without a lease; the address is kept out of use: leave it out of the pool, or reserve it for that station",
				"address", a, "station", holder.String(), "unused for", table.Quarantine.String())
		}
	}
	if ctx.Err() == nil {
		l.noteFree(addrs, taken)
	}
	return taken
}

// noteFree remembers the addresses that no station has.
func (l *lookout) noteFree(addrs []netip.Addr, taken map[netip.Addr]dhcp.Station) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, a := range addrs {
		if len(l.free) >= maxFree/2 {
			l.before, l.free = l.free, make(map[netip.Addr]time.Time, maxFree/2)
		}
		if _, held := taken[a]; !held {
			l.free[a] = now
		}
	}
}
