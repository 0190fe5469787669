package track

import (
	"context"
	"maps"
	"slices"

	"cloudlets/provision"
)

// subscriberQueue is how many events a subscriber may lag behind.
const subscriberQueue = 256

// subscriber is one reader of new events.
type subscriber struct {
	mac    provision.MAC // "" for all
	events chan provision.Event
}

// Subscribe returns a channel of the new events of one machine, or of all
// machines if mac is "". An event with the ID of an earlier one and a higher
// Count replaces that.
//
// The channel is closed when ctx ends. It is also closed when the reader is too
// slow, since a full channel must not delay the tracker. The reader can then
// subscribe again, and get the events that it missed with [Tracker.Events].
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

// unsubscribe closes a subscriber's channel, once. The caller holds mu.
func (t *Tracker) unsubscribe(s *subscriber) {
	if _, open := t.subscribers[s]; open {
		delete(t.subscribers, s)
		close(s.events)
	}
}

// publish sends an event to its subscribers. The caller holds mu.
func (t *Tracker) publish(e provision.Event) {
	for s := range t.subscribers {
		if s.mac != "" && s.mac != e.MAC {
			continue
		}
		e.Facts = maps.Clone(e.Facts) // each reader may change its own copy
		select {
		case s.events <- e:
		default:
			t.unsubscribe(s)
		}
	}
}

// publishRepeated publishes the new counts of repeated events. It does so once
// for each write, and not for each packet. The caller holds mu.
func (t *Tracker) publishRepeated(b batch) {
	for _, id := range slices.Sorted(maps.Keys(b.events)) {
		if e := b.events[id]; e.Count > 1 {
			t.publish(e)
		}
	}
}
