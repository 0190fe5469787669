package v6

import (
	"log/slog"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

const (
	// maxPerSource is how many of one client's packets may wait or be handled at once, and
	// maxPerRelay how many of one relay agent's, which speaks for many.
	maxPerSource = 32
	maxPerRelay  = 512
)

// packet is a request that waits for its answer.
type packet struct {
	Request
	client dhcp.Client
	at     arrivedAt
	raw    []byte // as it came, for the log
}

// queue has the packets that wait, and bounds how many of one source do.
type queue struct {
	*serving.Queue[packet]
	sources serving.Sources
	log     *slog.Logger
	now     func() time.Time
	dropped serving.Throttle
}

func newQueue(log *slog.Logger, now func() time.Time) *queue {
	return &queue{Queue: serving.NewQueue[packet](), log: log, now: now}
}

// put adds a packet, or drops it if too many wait.
func (q *queue) put(p packet, known bool) {
	most := maxPerSource
	if len(p.Relays) > 0 {
		most = maxPerRelay
	}
	if !q.sources.Begin(p.Source.Addr(), most) || q.Put(p, known) {
		return
	}
	q.end(p)
	if q.dropped.Pass(q.now()) {
		q.log.Warn("too many DHCPv6 packets at once, some are dropped; their clients will ask again")
	}
}

// end says that a packet is answered or dropped.
func (q *queue) end(p packet) { q.sources.End(p.Source.Addr()) }
