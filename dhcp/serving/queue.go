package serving

import (
	"context"
	"net/netip"
	"sync"
)

// MaxWaiting is how many packets may wait in a [Queue]: of known clients, and of all
// others.
const MaxWaiting = 1024

// Queue has the packets that wait for a worker. Those of known clients come first.
type Queue[T any] struct{ known, others chan T }

// NewQueue makes an empty queue.
func NewQueue[T any]() *Queue[T] {
	return &Queue[T]{make(chan T, MaxWaiting), make(chan T, MaxWaiting)}
}

// Put adds a packet. It returns false if too many wait already: then the packet is
// dropped, and its client asks again.
func (q *Queue[T]) Put(packet T, known bool) bool {
	to := q.others
	if known {
		to = q.known
	}
	select {
	case to <- packet:
		return true
	default:
		return false
	}
}

// Next waits for a packet. ok is false if ctx has ended.
func (q *Queue[T]) Next(ctx context.Context) (packet T, ok bool) {
	select {
	case packet = <-q.known:
		return packet, true
	default:
	}
	select {
	case packet = <-q.known:
	case packet = <-q.others:
	case <-ctx.Done():
		return packet, false
	}
	return packet, true
}

// Sources counts the packets that are waiting or being handled, by where they came from.
// So whoever sends much does not drive out the others. The zero value is ready.
type Sources struct {
	mu sync.Mutex
	of map[netip.Addr]int
}

// Begin counts a packet. It returns false, and counts nothing, if its source has most
// packets already.
func (s *Sources) Begin(source netip.Addr, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[source] >= most {
		return false
	}
	if s.of == nil {
		s.of = map[netip.Addr]int{}
	}
	s.of[source]++
	return true
}

// End says that a packet which was counted is answered or dropped.
func (s *Sources) End(source netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[source]--; s.of[source] <= 0 {
		delete(s.of, source)
	}
}
