package dhcp

import (
	"sync"
	"time"
)

// throttleTime is how long a throttle stays shut.
const throttleTime = time.Minute

// throttle lets one event through and then none for a while. The zero value
// is open.
type throttle struct {
	mu   sync.Mutex
	next time.Time
}

// pass says whether an event at a time may go through.
func (t *throttle) pass(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(throttleTime)
	return true
}
