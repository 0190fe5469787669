package dhcp

import (
	"sync"
	"time"
)

// throttleTime is the shortest time between two events that pass a throttle.
const throttleTime = time.Minute

// throttle lets at most one event pass in each throttleTime. The zero value is
// ready.
type throttle struct {
	mu   sync.Mutex
	next time.Time
}

// pass says whether an event at the time now may pass.
func (t *throttle) pass(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(throttleTime)
	return true
}
