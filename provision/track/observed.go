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

// room is how many events may wait. Those of strangers have half of it, so that whoever
// makes up many of them costs the machines of the site nothing.
func room(known bool) int {
	if known {
		return maxPending
	}
	return maxPending / 2
}

// put adds an event, unless too many wait.
func (o *observed) put(e provision.Event, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) >= room(known) {
		o.lost++
		return
	}
	o.events = append(o.events, e)
}

func (o *observed) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events) == 0 && o.lost == 0
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

// unlock unlocks it. What was observed meanwhile is recorded first, since nobody else
// waits to do that.
func (t *Tracker) unlock() {
	for {
		t.mu.Unlock()
		if t.observed.isEmpty() || !t.mu.TryLock() {
			return
		}
		t.takeObserved()
	}
}

// takeObserved records what was observed, as far as there is room. The caller holds mu.
func (t *Tracker) takeObserved() {
	events, lost := t.observed.take()
	t.lost += lost
	for _, e := range events {
		if t.waiting >= room(t.known(e.MAC)) {
			t.lost++
			continue
		}
		_ = t.recordSoon(e) // Run writes it, so there is no need to flush here
	}
}
