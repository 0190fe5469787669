package track

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"cloudlets/provision"
)

// subscriberQueue is how many events a subscriber may lag behind.
const subscriberQueue = 256

// maxLatest is how many of the latest events of all machines are in memory.
const maxLatest = 8192

// latest is a ring of the latest events of all machines, so that a reader who
// comes back need not look into the history of each machine.
type latest struct {
	events []provision.Event
	next   int
	// floor is such that all events since the start of the tracker with IDs
	// above it are in the ring.
	floor uint64
}

func (l *latest) add(e provision.Event) {
	if len(l.events) < maxLatest {
		l.events = append(l.events, e)
		return
	}
	l.floor = max(l.floor, l.events[l.next].ID)
	l.events[l.next] = e
	l.next = (l.next + 1) % maxLatest
}

// Latest returns the events of all machines with IDs above after, in order, from
// memory. An event that happened several times comes once for each count. ok is
// false if memory does not go back so far.
func (t *Tracker) Latest(after uint64) (events []provision.Event, ok bool) {
	t.lock()
	defer t.unlock()
	if after < t.latest.floor {
		return nil, false
	}
	for _, e := range t.latest.events {
		if e.ID > after {
			e.Facts = maps.Clone(e.Facts)
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, func(a, b provision.Event) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Count, b.Count))
	})
	return events, true
}

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
	t.lock()
	t.subscribers[s] = struct{}{}
	t.unlock()
	context.AfterFunc(ctx, func() {
		t.lock()
		defer t.unlock()
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
	if e.Kind != provision.KindProgress {
		t.latest.add(e)
	}
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
