// Package quiet notices that machines are quiet: that nothing was heard of them for longer
// than they need for what they do. What that is, [provision.State.QuietFrom] says; here it
// is noticed in time, once, and by one of the servers that share a store.
package quiet

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/track"
)

// Noticer records that machines are quiet. Set its fields before you use it.
type Noticer struct {
	Tracker *track.Tracker
	// First says whether this server shall do it. Of several that share the store only
	// one shall at a time.
	First func() bool
	Clock func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil is silent
	// Known says whether a machine is in the site. Of others the log says nothing. If it
	// is nil, every machine is known.
	Known func(provision.MAC) bool
}

// Run records that machines are quiet, as soon as they are, until ctx ends.
//
// Machines that were under way when it started get their whole time again.
func (n *Noticer) Run(ctx context.Context) error {
	q := &queue{started: n.now(), queued: make(map[provision.MAC]struct{}), news: make(chan struct{}, 1)}
	n.Tracker.Watch(q.saw)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.news:
		case <-timer.C:
		}
		now := n.now()
		for _, mac := range q.due(now) {
			state, known := n.Tracker.State(mac)
			at, can := q.quietFrom(state)
			switch {
			case !known || !can:
			case at.After(now):
				q.push(mac, at)
			case !n.First():
				q.push(mac, now.Add(lookAgain))
			default:
				n.note(ctx, state, now)
				q.push(mac, now.Add(lookAgain)) // in case that it could not be recorded
			}
		}
		timer.Reset(q.wait(now))
	}
}

func (n *Noticer) now() time.Time {
	if n.Clock == nil {
		return time.Now()
	}
	return n.Clock()
}

// logger returns the log, or one that discards everything.
func (n *Noticer) logger() *slog.Logger {
	if n.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return n.Log
}

func (n *Noticer) note(ctx context.Context, state provision.State, now time.Time) {
	e := state.QuietEvent(now)
	if n.Known == nil || n.Known(state.MAC) {
		n.logger().Warn("a machine is quiet", "machine", state.MAC, "stage", state.Stage, "cause", e.Reason)
	}
	// All machines of a hall may become quiet at once, and Observe would drop events.
	if err := n.Tracker.Record(ctx, e); err != nil {
		n.logger().Error("an event was lost", "machine", state.MAC, "event", e.Text, "error", err)
	}
}

// lookAgain is how soon a server looks again at a machine that another server shall
// notice, or that it has just noticed.
const lookAgain = 10 * time.Second

// queue has the machines that may become quiet, the next one first. A machine is
// in it once, with a time that may be too early: signs of life do not move it, so they
// cost nothing.
type queue struct {
	started time.Time
	news    chan struct{} // the first one has changed

	mu     sync.Mutex
	queued map[provision.MAC]struct{}
	heap   byTime
}

type entry struct {
	mac provision.MAC
	at  time.Time
}

// saw is a [track.Watcher].
func (q *queue) saw(state *provision.State, known bool) {
	if at, can := q.quietFrom(*state); known && can {
		q.push(state.MAC, at)
	}
}

// push puts a machine into the queue, unless it is there.
func (q *queue) push(mac provision.MAC, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, there := q.queued[mac]; there {
		return
	}
	q.queued[mac] = struct{}{}
	heap.Push(&q.heap, entry{mac, at})
	if q.heap[0].mac == mac {
		select {
		case q.news <- struct{}{}:
		default:
		}
	}
}

// quietFrom is when a machine becomes quiet for this server.
func (q *queue) quietFrom(state provision.State) (at time.Time, can bool) {
	at, can = state.QuietFrom()
	if whole := q.started.Add(at.Sub(state.HeardAt())); can && whole.After(at) {
		at = whole
	}
	return at, can
}

// due takes the machines out whose time has come.
func (q *queue) due(now time.Time) (macs []provision.MAC) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.heap) > 0 && !q.heap[0].at.After(now) {
		e := heap.Pop(&q.heap).(entry)
		delete(q.queued, e.mac)
		macs = append(macs, e.mac)
	}
	return macs
}

// wait is the time until the next machine is due.
func (q *queue) wait(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return time.Hour
	}
	return max(q.heap[0].at.Sub(now), time.Second)
}

type byTime []entry

func (h byTime) Len() int           { return len(h) }
func (h byTime) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h byTime) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byTime) Push(e any)        { *h = append(*h, e.(entry)) }
func (h *byTime) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
