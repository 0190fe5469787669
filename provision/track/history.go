package track

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	// decisionBucket has the durable events, with the same keys. It has a bound
	// of its own, so that no flood of other events drives them out.
	decisionBucket = "decisions"
	metaBucket     = "meta"
	nextIDKey      = "nextEvent"
	clockKey       = "clock" // the time of the latest write
)

// idReserve is how many IDs each write reserves. If the process dies, the events
// that it had not written are lost, and their IDs must not be used again.
const idReserve = 4 * maxPending

// storedMachine is what the store has about a machine besides its events.
type storedMachine struct {
	State provision.State `json:"state"`
	kept
}

// kept is how many events of a machine are in the store.
type kept struct {
	Events    int `json:"kept"`
	Decisions int `json:"decisions,omitempty"`
}

// over is by how much a number of events exceeds a bound, if it exceeds it by
// more than slack. Otherwise it is 0.
func over(n, bound, slack int) int {
	if n <= bound+slack {
		return 0
	}
	return n - bound
}

func bucketOf(e provision.Event) string {
	if e.Durable() {
		return decisionBucket
	}
	return eventBucket
}

// batch is what one write puts into the store.
type batch struct {
	events    map[uint64]provision.Event
	forgotten map[provision.MAC]struct{}
	// also are further changes of the store, of cancelled installs.
	also []func(store.Tx) error
	// takeBatch fills in the fields below.
	records map[provision.MAC]storedMachine
	trim    map[provision.MAC]kept // how many of the oldest events are deleted
	nextID  uint64
	at      time.Time
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
	record.State = provision.Fold(record.State, e).WithoutProgress()
	record.Decisions++
	b.records[e.MAC] = record
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
	b.nextID, b.at = t.nextID+idReserve, t.clock()
	b.records = make(map[provision.MAC]storedMachine)
	b.trim = make(map[provision.MAC]kept)
	for _, e := range b.events {
		m, known := t.machines[e.MAC]
		if _, done := b.records[e.MAC]; done || !known {
			continue
		}
		if m.stranger && t.known(e.MAC) { // its file was written after it was first seen
			m.stranger = false
			t.strangers--
		}
		history, slack := maxHistory, trimSlack
		if m.stranger {
			history, slack = strangerHistory, strangerSlack
		}
		trim := kept{over(m.kept.Events, history, slack), over(m.kept.Decisions, maxDecisions, trimSlack)}
		m.kept = kept{m.kept.Events - trim.Events, m.kept.Decisions - trim.Decisions}
		b.trim[e.MAC] = trim
		b.records[e.MAC] = storedMachine{m.state.WithoutProgress(), m.kept}
	}
	return b
}

// putBack keeps a batch that could not be written for the next write, if there
// is room. The caller holds mu.
func (t *Tracker) putBack(b batch) {
	for mac, n := range b.trim {
		if m, known := t.machines[mac]; known {
			m.kept = kept{m.kept.Events + n.Events, m.kept.Decisions + n.Decisions}
		}
	}
	maps.DeleteFunc(b.forgotten, func(mac provision.MAC, _ struct{}) bool { _, again := t.machines[mac]; return again })
	t.batch.forget(b.forgotten)
	t.batch.also = append(b.also, t.batch.also...)
	if len(b.events)+len(t.batch.events) > 2*maxPending {
		waiting := len(b.events)
		maps.DeleteFunc(b.events, func(_ uint64, e provision.Event) bool {
			if m, known := t.machines[e.MAC]; known && !e.Durable() {
				m.kept.Events--
			}
			return !e.Durable()
		})
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
		if err := store.PutJSON(tx, bucketOf(e), eventKey(e.MAC, id), e); err != nil {
			return err
		}
	}
	for mac, r := range b.records {
		if err := store.PutJSON(tx, stateBucket, string(mac), r); err != nil {
			return err
		}
		trim := b.trim[mac]
		if err := errors.Join(deleteOldest(tx, eventBucket, mac, trim.Events), deleteOldest(tx, decisionBucket, mac, trim.Decisions)); err != nil {
			return err
		}
	}
	for _, change := range b.also {
		if err := change(tx); err != nil {
			return err
		}
	}
	return errors.Join(store.PutJSON(tx, metaBucket, nextIDKey, b.nextID), store.PutJSON(tx, metaBucket, clockKey, b.at))
}

func forgetMachine(tx store.Tx, mac provision.MAC) error {
	if err := errors.Join(deleteOldest(tx, eventBucket, mac, -1), deleteOldest(tx, decisionBucket, mac, -1)); err != nil {
		return err
	}
	return tx.Delete(stateBucket, string(mac))
}

// deleteOldest deletes a machine's oldest n events in a bucket, or all if n is
// negative.
func deleteOldest(tx store.Tx, bucket string, mac provision.MAC, n int) error {
	if n == 0 {
		return nil
	}
	var keys []string
	err := tx.Scan(bucket, string(mac)+"/", "", func(key string, _ []byte) error {
		if len(keys) == n {
			return store.ErrStopScan
		}
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = tx.Delete(bucket, key)
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

// How far the clock may be from the time of the latest write when the server
// starts.
const (
	clockBack    = time.Minute
	clockForward = 30 * 24 * time.Hour
)

// checkClock warns of a clock that jumped while no server ran. Leases end by it,
// and traces are read by it.
func (t *Tracker) checkClock(last time.Time) {
	now := t.clock()
	switch {
	case last.IsZero():
	case now.Before(last.Add(-clockBack)):
		t.log.Warn("the clock is behind the latest event in the store: set it, and restart this server; until then leases last longer than they should, and traces are out of order",
			"now", now, "latest", last, "behind", last.Sub(now).Round(time.Second))
	case now.After(last.Add(clockForward)):
		t.log.Warn("the latest event in the store is old: if a server ran since, the clock is ahead; then set it, and restart this server, since leases count as ended that have not",
			"now", now, "latest", last, "ahead", now.Sub(last).Round(time.Second))
	}
}

// load reads the states, and the ID of the next event.
func (t *Tracker) load(tx store.Tx) error {
	if _, err := store.GetJSON(tx, metaBucket, nextIDKey, &t.nextID); err != nil {
		return err
	}
	var last time.Time
	if _, err := store.GetJSON(tx, metaBucket, clockKey, &last); err != nil {
		return err
	}
	t.checkClock(last)
	restored, err := tx.Get(metaBucket, restoredKey)
	if err != nil {
		return err
	}
	t.restored = restored != nil
	return tx.Scan(stateBucket, "", "", func(key string, value []byte) error {
		var r storedMachine
		mac := provision.MAC(key)
		if err := json.Unmarshal(value, &r); err != nil {
			t.log.Error("the record of a machine is damaged; it is not installed until it is armed", "machine", mac, "error", err)
			r = storedMachine{State: provision.State{MAC: mac, Stage: provision.StageNew, Restored: true}}
		}
		t.machines[mac] = &machine{state: r.State, kept: r.kept, stranger: !t.known(mac)}
		if t.machines[mac].stranger {
			t.strangers++
		}
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
	err := t.store.View(ctx, func(tx store.Tx) (err error) {
		events, err = readEvents(tx, mac, after)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", mac, err)
	}
	if limit > 0 && len(events) > limit {
		events = slices.Clone(events[len(events)-limit:])
	}
	return events, nil
}

// readEvents reads a machine's events with IDs above after, in order.
func readEvents(tx store.Tx, mac provision.MAC, after uint64) ([]provision.Event, error) {
	var events []provision.Event
	for _, bucket := range []string{eventBucket, decisionBucket} {
		err := tx.Scan(bucket, string(mac)+"/", eventKey(mac, after+1), func(key string, value []byte) error {
			var e provision.Event
			if err := json.Unmarshal(value, &e); err != nil {
				return fmt.Errorf("read %s %s: %w", bucket, key, err)
			}
			events = append(events, e)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(events, func(a, b provision.Event) int { return cmp.Compare(a.ID, b.ID) })
	return events, nil
}
