package serving

import (
	"sync"
	"sync/atomic"
)

// Room bounds how many packets are somewhere at once.
type Room struct {
	limit int32
	size  atomic.Int32
	all   sync.WaitGroup
}

// NewRoom makes a room for at most limit packets.
func NewRoom(limit int32) *Room { return &Room{limit: limit} }

// Enter says whether there is room for one more, which is in it until it calls Leave.
func (r *Room) Enter() bool {
	if r.size.Add(1) > r.limit {
		r.size.Add(-1)
		return false
	}
	r.all.Add(1)
	return true
}

// Leave ends what Enter began.
func (r *Room) Leave() {
	r.size.Add(-1)
	r.all.Done()
}

// Wait returns when all have left. Nobody may enter beside it, or after it.
func (r *Room) Wait() { r.all.Wait() }
