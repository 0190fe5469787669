package track

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

var _ store.Follower = (*Tracker)(nil)

// Load implements [store.Follower]: it reads the states of all machines. Those of
// this server's events that wait stay in force.
func (t *Tracker) Load(tx store.Tx) error {
	var last time.Time
	if _, err := store.GetJSON(tx, metaBucket, clockKey, &last); err != nil {
		return err
	}
	restored, err := tx.Get(metaBucket, restoredKey)
	if err != nil {
		return err
	}
	t.checkClock(last)
	t.lock()
	defer t.unlock()
	t.restored.Store(restored != nil)
	read := make(map[provision.MAC]struct{}, len(t.machines))
	err = tx.Scan(stateBucket, "", "", func(key string, value []byte) error {
		mac := provision.MAC(key)
		read[mac] = struct{}{}
		t.take(mac, t.readRecord(mac, value))
		return nil
	})
	if err != nil {
		return err
	}
	for mac := range t.machines {
		if _, there := read[mac]; !there {
			t.gone(mac)
		}
	}
	// What happened meanwhile is only in the store.
	t.latest = latest{floor: t.lastID}
	for s := range t.subscribers {
		t.unsubscribe(s)
	}
	return nil
}

// Apply implements [store.Follower]: it takes over what a server wrote, this one
// or another. All that is answered waits for the lock, so what was written is decoded
// before.
func (t *Tracker) Apply(changes []store.Change) {
	w := t.decode(changes)
	t.lock()
	defer t.unlock()
	w.events = slices.DeleteFunc(w.events, func(e provision.Event) bool { return !t.isNews(e) })
	for _, c := range w.progress {
		t.takeProgress(c)
	}
	for _, r := range w.records {
		if r.gone {
			t.gone(r.mac)
		} else {
			t.take(r.mac, r.record)
		}
	}
	for _, e := range w.events {
		t.publish(e)
	}
}

// written is what a server wrote, decoded, with the events by their IDs.
type written struct {
	progress []store.Change
	records  []writtenRecord
	events   []provision.Event
}

type writtenRecord struct {
	mac  provision.MAC
	gone bool
	record
}

func (t *Tracker) decode(changes []store.Change) (w written) {
	for _, c := range changes {
		switch {
		case c.Bucket == store.Announced:
			w.progress = append(w.progress, c)
		case c.Bucket == stateBucket:
			r := writtenRecord{mac: provision.MAC(c.Key), gone: c.Value == nil}
			if !r.gone {
				r.record = t.readRecord(r.mac, c.Value)
			}
			w.records = append(w.records, r)
		case c.Value == nil: // an event that is deleted is only too old
		default:
			var e provision.Event
			if err := json.Unmarshal(c.Value, &e); err != nil {
				t.log.Error("an event cannot be read", "event", c.Key, "error", err)
				continue
			}
			w.events = append(w.events, e)
		}
	}
	slices.SortFunc(w.events, func(a, b provision.Event) int { return cmp.Compare(a.ID, b.ID) })
	return w
}

// isNews says whether an event that was written is to be published. This server's
// own events were published when they were recorded, except for decisions, and for
// the counts of those that were repeated.
func (t *Tracker) isNews(e provision.Event) bool {
	if slotOf(e.ID) != t.slot {
		return true
	}
	if !e.Durable() {
		return e.Count > 1
	}
	m, known := t.machines[e.MAC]
	return !known || !slices.ContainsFunc(m.waiting, func(w waiting) bool { return w.ID == e.ID })
}

// take takes over a machine's record. The caller holds mu.
func (t *Tracker) take(mac provision.MAC, r record) {
	r.State.MAC = mac
	m, known := t.machines[mac]
	if !known {
		m = &machine{stranger: !t.known(mac)}
		if m.stranger {
			t.strangers++
		}
		t.machines[mac] = m
	}
	for _, id := range r.Last {
		t.lastID = max(t.lastID, id)
	}
	t.settle(m, r.State, func(w waiting) bool { return r.contains(w.ID) })
}

// gone takes over that the store has nothing about a machine any more. The caller
// holds mu.
func (t *Tracker) gone(mac provision.MAC) {
	m, known := t.machines[mac]
	switch {
	case !known:
	case len(m.waiting) == 0:
		t.remove(mac)
	default:
		t.settle(m, t.unseen(mac), func(waiting) bool { return false })
	}
}
