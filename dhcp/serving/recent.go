package serving

import (
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// recentSpan is how long something about a client is remembered at least. A
	// client that rebinds its lease asks again after some minutes.
	recentSpan = 5 * time.Minute
	// maxRecent is how many clients are remembered in each such span.
	maxRecent = 1 << 14
)

// Recent remembers one thing about each client that was heard of lately. The zero
// value is empty and ready.
type Recent[V any] struct {
	mu       sync.Mutex
	now, old map[dhcp.Station]V
	began    time.Time // of now
}

// Get returns what is remembered of a client.
func (r *Recent[V]) Get(mac dhcp.Station) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(mac)
}

func (r *Recent[V]) find(mac dhcp.Station) (v V, ok bool) {
	if v, ok = r.now[mac]; !ok {
		v, ok = r.old[mac]
	}
	return v, ok
}

// Put remembers something of a client at a time.
func (r *Recent[V]) Put(mac dhcp.Station, v V, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.now[mac] = v
}

// PutFirst remembers something of a client unless something is remembered already,
// and returns what is remembered from then on.
func (r *Recent[V]) PutFirst(mac dhcp.Station, v V, now time.Time) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if first, ok := r.find(mac); ok {
		return first
	}
	r.now[mac] = v
	return v
}

// turn begins a new span when the last one has ended or is full.
func (r *Recent[V]) turn(now time.Time) {
	if r.now == nil || now.Sub(r.began) >= recentSpan || len(r.now) >= maxRecent {
		r.old, r.now, r.began = r.now, make(map[dhcp.Station]V), now
	}
}

// Forget forgets a client.
func (r *Recent[V]) Forget(mac dhcp.Station) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, mac)
	delete(r.old, mac)
}
