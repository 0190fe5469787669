package track

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"cloudlets/provision"
)

// NoticeQuiet records that machines are quiet, as soon as they are, until ctx ends. Of
// several servers that share the store only one shall do so at a time: first says
// whether it is this one.
//
// Machines that were under way when the server started get their whole time again.
func (t *Tracker) NoticeQuiet(ctx context.Context, first func() bool) error {
	q := &quietQueue{started: t.clock(), queued: make(map[provision.MAC]struct{}), news: make(chan struct{}, 1)}
	t.Watch(q.saw)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.news:
		case <-timer.C:
		}
		now := t.clock()
		for _, mac := range q.due(now) {
			state, known := t.State(mac)
			at, can := q.quietFrom(state)
			switch {
			case !known || !can:
			case at.After(now):
				q.push(mac, at)
			case !first():
				q.push(mac, now.Add(lookAgain))
			default:
				t.noteQuiet(ctx, state, now)
				q.push(mac, now.Add(lookAgain)) // in case that it could not be recorded
			}
		}
		timer.Reset(q.wait(now))
	}
}

func (t *Tracker) noteQuiet(ctx context.Context, state provision.State, now time.Time) {
	e := state.QuietEvent(now)
	if t.known(state.MAC) {
		t.log.Warn("a machine is quiet", "machine", state.MAC, "stage", state.Stage, "cause", e.Reason)
	}
	// All machines of a hall may become quiet at once, and Observe would drop events.
	if err := t.Record(ctx, e); err != nil {
		t.log.Error("an event was lost", "machine", state.MAC, "event", e.Text, "error", err)
	}
}

// lookAgain is how soon a server looks again at a machine that another server shall
// notice, or that it has just noticed.
const lookAgain = 10 * time.Second

// quietQueue has the machines that may become quiet, the next one first. A machine is
// in it once, with a time that may be too early: signs of life do not move it, so they
// cost nothing.
type quietQueue struct {
	started time.Time
	news    chan struct{} // the first one has changed

	mu     sync.Mutex
	queued map[provision.MAC]struct{}
	heap   quietHeap
}

type quietEntry struct {
	mac provision.MAC
	at  time.Time
}

// saw is a [Watcher].
func (q *quietQueue) saw(state provision.State, known bool) {
	if at, can := q.quietFrom(state); known && can {
		q.push(state.MAC, at)
	}
}

// push puts a machine into the queue, unless it is there.
func (q *quietQueue) push(mac provision.MAC, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, there := q.queued[mac]; there {
		return
	}
	q.queued[mac] = struct{}{}
	heap.Push(&q.heap, quietEntry{mac, at})
	if q.heap[0].mac == mac {
		select {
		case q.news <- struct{}{}:
		default:
		}
	}
}

// quietFrom is when a machine becomes quiet for this server.
func (q *quietQueue) quietFrom(state provision.State) (at time.Time, can bool) {
	at, can = state.QuietFrom()
	if whole := q.started.Add(at.Sub(state.HeardAt())); can && whole.After(at) {
		at = whole
	}
	return at, can
}

// due takes the machines out whose time has come.
func (q *quietQueue) due(now time.Time) (macs []provision.MAC) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.heap) > 0 && !q.heap[0].at.After(now) {
		e := heap.Pop(&q.heap).(quietEntry)
		delete(q.queued, e.mac)
		macs = append(macs, e.mac)
	}
	return macs
}

// wait is the time until the next machine is due.
func (q *quietQueue) wait(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return time.Hour
	}
	return max(q.heap[0].at.Sub(now), time.Second)
}

type quietHeap []quietEntry

func (h quietHeap) Len() int           { return len(h) }
func (h quietHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h quietHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *quietHeap) Push(e any)        { *h = append(*h, e.(quietEntry)) }
func (h *quietHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
