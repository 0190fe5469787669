package v6

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// maxWaiting is how many packets may wait for a worker: of known clients, and of all
	// others. Further ones are dropped; clients ask again.
	maxWaiting = 1024
	// maxPerSource is how many of one client's packets may wait or be handled at once, and
	// maxPerRelay how many of one relay agent's, which speaks for many.
	maxPerSource = 32
	maxPerRelay  = 512
	// warnPause is the shortest time between two warnings of one sort.
	warnPause = time.Minute
)

// packet is a request that waits for its answer.
type packet struct {
	Request
	client dhcp.Client
	at     arrivedAt
}

// queue has the packets that wait. Those of known clients come first.
type queue struct {
	known, others chan packet
	log           *slog.Logger
	now           func() time.Time

	mu     sync.Mutex
	of     map[netip.Addr]int // by source
	warned time.Time
}

func newQueue(log *slog.Logger, now func() time.Time) *queue {
	return &queue{known: make(chan packet, maxWaiting), others: make(chan packet, maxWaiting), log: log, now: now, of: map[netip.Addr]int{}}
}

// put adds a packet, or drops it if too many wait.
func (q *queue) put(p packet, known bool) {
	most := maxPerSource
	if len(p.Relays) > 0 {
		most = maxPerRelay
	}
	if !q.begin(p.Source.Addr(), most) {
		return
	}
	to := q.others
	if known {
		to = q.known
	}
	select {
	case to <- p:
	default:
		q.end(p)
		q.warn()
	}
}

// begin counts a packet, unless its source has too many already.
func (q *queue) begin(source netip.Addr, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.of[source] >= most {
		return false
	}
	q.of[source]++
	return true
}

// end says that a packet is answered or dropped.
func (q *queue) end(p packet) {
	source := p.Source.Addr()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.of[source]--; q.of[source] <= 0 {
		delete(q.of, source)
	}
}

func (q *queue) warn() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.now(); now.Sub(q.warned).Abs() >= warnPause {
		q.warned = now
		q.log.Warn("too many DHCPv6 packets at once, some are dropped; their clients will ask again")
	}
}

// next waits for a packet.
func (q *queue) next(ctx context.Context) (p packet, ok bool) {
	select {
	case p = <-q.known:
		return p, true
	default:
	}
	select {
	case p = <-q.known:
	case p = <-q.others:
	case <-ctx.Done():
		return p, false
	}
	return p, true
}
