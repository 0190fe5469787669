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

// choice says, by a machine's state in the store, which events happen to it, or
// why none may.
type choice func(provision.State) ([]provision.Event, error)

// maxChosen is how many events a choice may return.
const maxChosen = 2

// recordDurable records one event, see [Tracker.RecordWith].
func (t *Tracker) recordDurable(ctx context.Context, e provision.Event, allowed func(provision.State) error, with func(store.Tx) error) error {
	_, err := t.decide(ctx, e.MAC, func(s provision.State) ([]provision.Event, error) {
		if allowed != nil {
			if err := allowed(s); err != nil {
				return nil, err
			}
		}
		return []provision.Event{e}, nil
	}, with)
	if failure, ok := errors.AsType[*storeError](err); ok {
		return fmt.Errorf("record %q of %s: %w; %s", e.Text, e.MAC, err, failure.advice())
	}
	return err
}

// storeError is the store's error in a decision.
type storeError struct{ error }

func (s *storeError) Unwrap() error { return s.error }

func (s *storeError) advice() string {
	switch {
	case errors.Is(s, store.ErrUncertain):
		return "it may have happened nevertheless: look at the machine, and do it again if it did not"
	case errors.Is(s, store.ErrAway):
		return "nothing has changed, try again when the store can be reached"
	}
	return "nothing has changed, try again when the store can be written (the state folder may be full)"
}

// decide reads a machine's state, chooses what happens, and writes it together
// with the machine's events that wait and with further changes, in one
// transaction. Its error is that of choose or with, or a storeError.
func (t *Tracker) decide(ctx context.Context, mac provision.MAC, choose choice, with func(store.Tx) error) ([]provision.Event, error) {
	l := t.lane(mac)
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := t.flushMachines(ctx, l, t.crowded(mac)); err != nil {
		return nil, &storeError{err}
	}

	t.lock()
	d := decision{
		write:  write{tracker: t, at: t.clock(), macs: []provision.MAC{mac}, waiting: map[provision.MAC][]waiting{mac: t.waitingOf(mac)}},
		choose: choose, with: with,
	}
	for i := range d.ids {
		d.ids[i] = t.takeID()
	}
	t.unlock()

	if err := t.store.Update(ctx, d.put); err != nil {
		if d.refusal != nil {
			return nil, d.refusal
		}
		return nil, &storeError{err}
	}
	for _, mac := range d.over {
		if err := t.trim(ctx, mac); err != nil {
			t.log.Error("old events stay for now", "error", err)
		}
	}
	t.say(d.chosen)
	return d.chosen, nil
}

// crowded returns the machine if so many of its events wait that they are written
// on their own.
func (t *Tracker) crowded(mac provision.MAC) []provision.MAC {
	t.lock()
	defer t.unlock()
	if len(t.waitingOf(mac)) < min(t.store.Limits().Writes/8, maxPending) {
		return nil
	}
	return []provision.MAC{mac}
}

// waitingOf returns a machine's waiting events. The caller holds mu.
func (t *Tracker) waitingOf(mac provision.MAC) []waiting {
	m, known := t.machines[mac]
	if !known {
		return nil
	}
	return append([]waiting(nil), m.waiting...)
}

// decision is a write of one machine, with events that are chosen by its state.
type decision struct {
	write
	choose  choice
	with    func(store.Tx) error
	ids     [maxChosen]uint64
	chosen  []provision.Event
	refusal error // of choose or with
}

// put is the transaction.
func (d *decision) put(tx store.Tx) error {
	d.chosen, d.refusal = nil, nil
	if d.with != nil {
		if d.refusal = d.with(tx); d.refusal != nil {
			return d.refusal
		}
	}
	mac := d.macs[0]
	value, err := tx.Get(stateBucket, string(mac))
	if err != nil {
		return err
	}
	r := d.tracker.readRecord(mac, value)
	for _, w := range d.waiting[mac] {
		if err := r.fold(tx, w); err != nil {
			return err
		}
	}
	if d.chosen, d.refusal = d.choose(r.State); d.refusal != nil {
		return d.refusal
	}
	for i := range d.chosen {
		d.chosen[i].ID = d.ids[i]
		if err := r.fold(tx, waiting{Event: d.chosen[i]}); err != nil {
			return err
		}
	}
	d.over = nil
	if d.tracker.tooMany(mac, r) != (excess{}) {
		d.over = []provision.MAC{mac}
	}
	if err := store.PutJSON(tx, stateBucket, string(mac), r); err != nil {
		return err
	}
	return store.PutJSON(tx, metaBucket, clockKey, d.at)
}

// say logs what a person wants to know: that a machine is armed, begins, ends or
// fails. The caller holds no lock of the tracker's memory, since a log may have to
// wait.
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
