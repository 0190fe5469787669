package track

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// The buckets of a tracker.
const (
	stateBucket = "machines" // MAC: storedMachine
	eventBucket = "events"   // MAC "/" ID: Event
	metaBucket  = "meta"
	nextIDKey   = "nextEvent"
)

// idReserve is how many IDs each write reserves. If the process dies, the events
// that it had not written are lost, and their IDs must not be used again.
const idReserve = 4 * maxPending

// storedMachine is what the store has about a machine besides its events.
type storedMachine struct {
	State provision.State `json:"state"`
	Kept  int             `json:"kept"` // events in the store
}

// batch is what one write puts into the store.
type batch struct {
	events    map[uint64]provision.Event
	forgotten map[provision.MAC]struct{}
	// also are further changes of the store, of cancelled installs.
	also []func(store.Tx) error
	// takeBatch fills in the fields below.
	records map[provision.MAC]storedMachine
	trim    map[provision.MAC]int // how many of the oldest events are deleted
	nextID  uint64
}

func (b *batch) add(e provision.Event) {
	if b.events == nil {
		b.events = make(map[uint64]provision.Event)
	}
	b.events[e.ID] = e
}

// addDurable adds a durable event to a batch that was taken. The machine's state
// does not know the event yet.
func (b *batch) addDurable(e provision.Event, m *machine) {
	b.add(e)
	record, there := b.records[e.MAC]
	if !there {
		record = storedMachine{m.state, m.kept}
	}
	b.records[e.MAC] = storedMachine{provision.Fold(record.State, e).WithoutProgress(), record.Kept + 1}
}

// forget deletes machines from the store, and drops their waiting events.
func (b *batch) forget(macs map[provision.MAC]struct{}) {
	maps.DeleteFunc(b.events, func(_ uint64, e provision.Event) bool { _, gone := macs[e.MAC]; return gone })
	if b.forgotten == nil {
		b.forgotten = make(map[provision.MAC]struct{})
	}
	maps.Copy(b.forgotten, macs)
}

func (b *batch) empty() bool {
	return len(b.events) == 0 && len(b.forgotten) == 0 && len(b.also) == 0
}

// wake tells Run that there is something to write.
func (t *Tracker) wake() {
	select {
	case t.kick <- struct{}{}:
	default: // Run knows already
	}
}

// takeBatch takes everything that waits to be written, and adds the states of
// the machines that it concerns. The caller holds both locks.
func (t *Tracker) takeBatch() batch {
	b := t.batch
	t.batch = batch{}
	b.nextID = t.nextID + idReserve
	b.records = make(map[provision.MAC]storedMachine)
	b.trim = make(map[provision.MAC]int)
	for _, e := range b.events {
		m, known := t.machines[e.MAC]
		if _, done := b.records[e.MAC]; done || !known {
			continue
		}
		if m.kept > maxHistory+trimSlack {
			b.trim[e.MAC] = m.kept - maxHistory
			m.kept = maxHistory
		}
		b.records[e.MAC] = storedMachine{m.state.WithoutProgress(), m.kept}
	}
	return b
}

// putBack keeps a batch that could not be written for the next write, if there
// is room. The caller holds mu.
func (t *Tracker) putBack(b batch) {
	for mac, n := range b.trim {
		if m, known := t.machines[mac]; known {
			m.kept += n
		}
	}
	maps.DeleteFunc(b.forgotten, func(mac provision.MAC, _ struct{}) bool { _, again := t.machines[mac]; return again })
	t.batch.forget(b.forgotten)
	t.batch.also = append(b.also, t.batch.also...)
	if len(b.events)+len(t.batch.events) > 2*maxPending {
		waiting := len(b.events)
		maps.DeleteFunc(b.events, func(_ uint64, e provision.Event) bool { return !e.Durable() })
		t.log.Error("events are lost: they could not be written, and too many wait", "lost", waiting-len(b.events))
	}
	for id, e := range b.events {
		_, newer := t.batch.events[id]
		if _, known := t.machines[e.MAC]; known && !newer {
			t.batch.add(e)
		}
	}
}

// write puts the batch into the store.
func (b *batch) write(tx store.Tx) error {
	for mac := range b.forgotten {
		if err := forgetMachine(tx, mac); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.events)) {
		e := b.events[id]
		if err := store.PutJSON(tx, eventBucket, eventKey(e.MAC, id), e); err != nil {
			return err
		}
	}
	for mac, r := range b.records {
		if err := store.PutJSON(tx, stateBucket, string(mac), r); err != nil {
			return err
		}
		if err := deleteOldest(tx, mac, b.trim[mac]); err != nil {
			return err
		}
	}
	for _, change := range b.also {
		if err := change(tx); err != nil {
			return err
		}
	}
	return store.PutJSON(tx, metaBucket, nextIDKey, b.nextID)
}

func forgetMachine(tx store.Tx, mac provision.MAC) error {
	if err := deleteOldest(tx, mac, -1); err != nil {
		return err
	}
	return tx.Delete(stateBucket, string(mac))
}

// deleteOldest deletes a machine's oldest n events, or all if n is negative.
func deleteOldest(tx store.Tx, mac provision.MAC, n int) error {
	if n == 0 {
		return nil
	}
	var keys []string
	err := tx.Scan(eventBucket, string(mac)+"/", "", func(key string, _ []byte) error {
		if len(keys) == n {
			return store.ErrStopScan
		}
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = tx.Delete(eventBucket, key)
		}
	}
	return err
}

// eventKey is the key of an event. The keys of a machine's events sort by ID.
func eventKey(mac provision.MAC, id uint64) string { return fmt.Sprintf("%s/%016x", mac, id) }

// flush writes everything that waits.
func (t *Tracker) flush(ctx context.Context) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	if t.batch.empty() {
		t.mu.Unlock()
		return nil
	}
	b := t.takeBatch()
	t.mu.Unlock()

	err := t.store.Update(ctx, b.write)

	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.putBack(b)
		return fmt.Errorf("write %d events: %w", len(b.events), err)
	}
	t.publishRepeated(b)
	return nil
}

// Run writes the recorded events, each time those of a moment together, until
// ctx ends. Then it writes the rest. If a write fails, it tries again.
func (t *Tracker) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			t.sayLost(true)
			return t.flush(context.WithoutCancel(ctx))
		case <-t.kick:
		}
		pause(ctx, writeDelay)
		t.sayLost(false)
		if err := t.flush(context.WithoutCancel(ctx)); err != nil && ctx.Err() == nil {
			t.log.Error("events cannot be written; trying again", "error", err)
			pause(ctx, retryDelay)
			t.wake()
		}
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// load reads the states, and the ID of the next event.
func (t *Tracker) load(tx store.Tx) error {
	if _, err := store.GetJSON(tx, metaBucket, nextIDKey, &t.nextID); err != nil {
		return err
	}
	return tx.Scan(stateBucket, "", "", func(key string, value []byte) error {
		var r storedMachine
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("read %s %s: %w", stateBucket, key, err)
		}
		t.machines[provision.MAC(key)] = &machine{state: r.State, kept: r.Kept}
		return nil
	})
}

// Events returns the latest events of a machine with IDs above after, in order.
// It returns at most limit of them, or all that are kept if limit is 0.
func (t *Tracker) Events(ctx context.Context, mac provision.MAC, after uint64, limit int) ([]provision.Event, error) {
	if err := t.flush(ctx); err != nil {
		t.log.Error("the latest events are missing from an answer", "error", err)
	}
	var events []provision.Event
	err := t.store.View(ctx, func(tx store.Tx) error {
		return tx.Scan(eventBucket, string(mac)+"/", eventKey(mac, after+1), func(key string, value []byte) error {
			var e provision.Event
			if err := json.Unmarshal(value, &e); err != nil {
				return fmt.Errorf("read %s %s: %w", eventBucket, key, err)
			}
			events = append(events, e)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", mac, err)
	}
	if limit > 0 && len(events) > limit {
		events = slices.Clone(events[len(events)-limit:])
	}
	return events, nil
}
