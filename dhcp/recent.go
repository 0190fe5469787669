package dhcp

import (
	"sync"
	"time"
)

const (
	// recentSpan is how long something about a client is remembered at least. A
	// client that rebinds its lease asks again after some minutes.
	recentSpan = 5 * time.Minute
	// maxRecent is how many clients are remembered in each such span.
	maxRecent = 1 << 14
)

// recent remembers one thing about each client that was heard of lately. The zero
// value is empty and ready.
type recent[V any] struct {
	mu       sync.Mutex
	now, old map[station]V
	began    time.Time // of now
}

// get returns what is remembered of a client.
func (r *recent[V]) get(mac station) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(mac)
}

func (r *recent[V]) find(mac station) (v V, ok bool) {
	if v, ok = r.now[mac]; !ok {
		v, ok = r.old[mac]
	}
	return v, ok
}

// put remembers something of a client at a time.
func (r *recent[V]) put(mac station, v V, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.now[mac] = v
}

// putFirst remembers something of a client unless something is remembered already,
// and returns what is remembered from then on.
func (r *recent[V]) putFirst(mac station, v V, now time.Time) V {
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
func (r *recent[V]) turn(now time.Time) {
	if r.now == nil || now.Sub(r.began) >= recentSpan || len(r.now) >= maxRecent {
		r.old, r.now, r.began = r.now, make(map[station]V), now
	}
}

// forget forgets a client.
func (r *recent[V]) forget(mac station) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, mac)
	delete(r.old, mac)
}
