package serving

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

// Recent remembers one thing about each client that was heard of lately. Clients are
// known by a K, such as their MAC. The zero value is empty and ready.
type Recent[K comparable, V any] struct {
	mu       sync.Mutex
	now, old map[K]V
	began    time.Time // of now
}

// Get returns what is remembered of a client.
func (r *Recent[K, V]) Get(client K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(client)
}

func (r *Recent[K, V]) find(client K) (v V, ok bool) {
	if v, ok = r.now[client]; !ok {
		v, ok = r.old[client]
	}
	return v, ok
}

// Put remembers something of a client at a time.
func (r *Recent[K, V]) Put(client K, v V, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	r.now[client] = v
}

// PutFirst remembers something of a client unless something is remembered already,
// and returns what is remembered from then on.
func (r *Recent[K, V]) PutFirst(client K, v V, now time.Time) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	if first, ok := r.find(client); ok {
		return first
	}
	r.now[client] = v
	return v
}

// turn begins a new span when the last one has ended or is full.
func (r *Recent[K, V]) turn(now time.Time) {
	if r.now == nil || now.Sub(r.began) >= recentSpan || len(r.now) >= maxRecent {
		r.old, r.now, r.began = r.now, make(map[K]V), now
	}
}

// Forget forgets a client.
func (r *Recent[K, V]) Forget(client K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, client)
	delete(r.old, client)
}
