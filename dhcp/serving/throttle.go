package serving

import (
	"sync"
	"time"
)

// throttleTime is the shortest time between two events that pass a throttle.
const throttleTime = time.Minute

// Throttle lets at most one event pass in each throttleTime. The zero value is
// ready.
type Throttle struct {
	mu   sync.Mutex
	next time.Time
}

// Pass says whether an event at the time now may pass.
func (t *Throttle) Pass(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(throttleTime)
	return true
}
