package track

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// just chooses one event, whatever the state.
func just(e provision.Event) func() []provision.Event {
	return func() []provision.Event { return []provision.Event{e} }
}

// recordDurable writes events to the store in one transaction, together with
// those that wait and with further changes, and only then changes the machines'
// states. choose says which events, by the states as they are then; mu is held
// while it does.
func (t *Tracker) recordDurable(ctx context.Context, choose func() []provision.Event, with func(store.Tx) error) error {
	events, err := t.writeDurable(ctx, choose, with)
	if failure, ok := errors.AsType[*unwritten](err); ok {
		return fmt.Errorf("record %q of %s: %w; nothing has changed, try again when the store can be written (the state folder may be full)", failure.event.Text, failure.event.MAC, err)
	}
	if err == nil {
		t.say(events)
	}
	return err
}

// unwritten is the store's error, and the first event that could not be written.
type unwritten struct {
	error
	event provision.Event
}

func (u *unwritten) Unwrap() error { return u.error }

// writeDurable does the work of recordDurable. Its error is that of with, or
// an unwritten.
func (t *Tracker) writeDurable(ctx context.Context, choose func() []provision.Event, with func(store.Tx) error) ([]provision.Event, error) {
	t.writing.Lock()
	defer t.writing.Unlock()

	t.mu.Lock()
	events := choose()
	for i := range events {
		events[i].ID = t.takeID()
		t.machine(events[i].MAC)
	}
	b := t.takeBatch()
	for _, e := range events {
		b.addDurable(e, t.machines[e.MAC])
	}
	t.mu.Unlock()

	var refusal error // of with
	err := t.store.Update(ctx, func(tx store.Tx) error {
		if with != nil {
			if refusal = with(tx); refusal != nil {
				return refusal
			}
		}
		return b.write(tx)
	})

	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		for _, e := range events {
			delete(b.events, e.ID)
		}
		t.putBack(b)
		if refusal != nil {
			return nil, refusal
		}
		return nil, &unwritten{err, events[0]}
	}
	t.publishRepeated(b)
	for _, e := range events {
		t.happened(e)
	}
	return events, nil
}

// happened changes a machine's state by an event that is durable, or is about to
// be. The caller holds mu.
func (t *Tracker) happened(e provision.Event) {
	m := t.machine(e.MAC)
	m.state = provision.Fold(m.state, e)
	m.remember(e)
	t.publish(e)
}

// say logs what a person wants to know: that a machine is armed, begins, ends or
// fails. The caller holds no lock, since a log may have to wait.
func (t *Tracker) say(events []provision.Event) {
	for _, e := range events {
		level := slog.LevelInfo
		if e.Kind == provision.KindFailed {
			level = slog.LevelWarn
		}
		attributes := []slog.Attr{slog.String("machine", string(e.MAC)), slog.String("event", string(e.Kind))}
		for _, a := range []slog.Attr{slog.String("by", e.By), slog.String("reason", e.Reason)} {
			if a.Value.String() != "" {
				attributes = append(attributes, a)
			}
		}
		t.log.LogAttrs(context.Background(), level, cmp.Or(e.Text, string(e.Kind)), attributes...)
	}
}
