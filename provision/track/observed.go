package track

import (
	"sync"

	"cloudlets/provision"
)

// observed are events that were observed while another one had the tracker's lock.
// While a hall is switched on, thousands wait for that lock, and a server that answers
// packets must not be one of them.
type observed struct {
	mu     sync.Mutex
	events []provision.Event
	lost   int // for which there was no room
}

// put adds an event. It returns false if too many wait.
func (o *observed) put(e provision.Event) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) >= maxPending {
		o.lost++
		return false
	}
	o.events = append(o.events, e)
	return true
}

func (o *observed) take() (events []provision.Event, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	events, lost = o.events, o.lost
	o.events, o.lost = nil, 0
	return events, lost
}

// lock locks the tracker. Whoever has the lock sees all that was observed before.
func (t *Tracker) lock() {
	t.mu.Lock()
	t.takeObserved()
}

// takeObserved records what was observed, as far as there is room. The caller holds mu.
func (t *Tracker) takeObserved() {
	events, lost := t.observed.take()
	t.lost += lost
	for _, e := range events {
		room := maxPending
		if !t.known(e.MAC) {
			room /= 2
		}
		if t.waiting >= room {
			t.lost++
			continue
		}
		_ = t.recordSoon(e) // Run writes it, so there is no need to flush here
	}
}
