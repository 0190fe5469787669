package track

import (
	"context"
	"maps"
	"slices"

	"cloudlets/provision"
)

// subscriberQueue is how many events a subscriber may lag behind.
const subscriberQueue = 256

// subscriber is one reader of events as they come.
type subscriber struct {
	mac    provision.MAC // "" for all
	events chan provision.Event
}

// Subscribe tells the events of one machine as they come, or of all machines
// where mac is "". An event that comes again with the same ID and a higher
// Count replaces the earlier one.
//
// The channel is closed when ctx ends; and also when the reader is so slow that
// it would miss events, since it must hold up nobody: it then subscribes again
// and reads what it missed with [Tracker.Events].
func (t *Tracker) Subscribe(ctx context.Context, mac provision.MAC) <-chan provision.Event {
	s := &subscriber{mac: mac, events: make(chan provision.Event, subscriberQueue)}
	t.mu.Lock()
	t.subscribers[s] = struct{}{}
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.unsubscribe(s)
	})
	return s.events
}

// unsubscribe closes a subscriber's channel, once. The caller holds the lock.
func (t *Tracker) unsubscribe(s *subscriber) {
	if _, open := t.subscribers[s]; open {
		delete(t.subscribers, s)
		close(s.events)
	}
}

// publish hands an event to those who wait for it. The caller holds the lock.
func (t *Tracker) publish(e provision.Event) {
	for s := range t.subscribers {
		if s.mac != "" && s.mac != e.MAC {
			continue
		}
		e.Facts = maps.Clone(e.Facts) // readers may do with theirs as they like
		select {
		case s.events <- e:
		default:
			t.unsubscribe(s)
		}
	}
}

// publishRepeated tells the counts of what was repeated, once a write and not
// once a packet. The caller holds the lock.
func (t *Tracker) publishRepeated(b batch) {
	for _, id := range slices.Sorted(maps.Keys(b.events)) {
		if e := b.events[id]; e.Count > 1 {
			t.publish(e)
		}
	}
}
