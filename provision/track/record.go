package track

import (
	"encoding/json"
	"fmt"
	"strconv"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// The buckets of a tracker.
const (
	stateBucket = "machines" // MAC: record
	eventBucket = "events"   // MAC "/" ID: Event
	// decisionBucket has the durable events, with the same keys. It has a bound
	// of its own, so that no flood of other events drives them out.
	decisionBucket = "decisions"
	metaBucket     = "meta"
	clockKey       = "clock" // the time of the latest write
)

// record is what the store has about a machine besides its events.
type record struct {
	State provision.State `json:"state"`
	// Events and Decisions are how many events of the machine are in the store.
	Events    int `json:"kept"`
	Decisions int `json:"decisions,omitempty"`
	// Last is the ID of the latest event of each server that State contains. The
	// keys are the servers' slots.
	Last map[string]uint64 `json:"last,omitempty"`
}

// contains says whether a record's state contains an event.
func (r *record) contains(id uint64) bool {
	return id <= r.Last[strconv.Itoa(slotOf(id))]
}

// fold adds an event to a record, and puts it into the store. An event that the
// record contains is left out: it was written before, by a transaction of which
// nobody knew how it had ended.
func (r *record) fold(tx store.Tx, w waiting) error {
	if r.contains(w.ID) {
		return nil
	}
	r.State = provision.Fold(r.State, w.Event).WithoutProgress()
	if r.Last == nil {
		r.Last = make(map[string]uint64)
	}
	r.Last[strconv.Itoa(slotOf(w.ID))] = w.ID
	e := w.Event
	switch {
	case w.first != nil:
		e = *w.first
	case e.Kind == provision.KindProgress: // a sign of life alone, see stillWaits
		return nil
	case e.Durable():
		r.Decisions++
	default:
		r.Events++
	}
	if err := store.PutJSON(tx, bucketOf(e), eventKey(e.MAC, e.ID), e); err != nil {
		return err
	}
	if w.also == nil {
		return nil
	}
	return w.also(tx)
}

func bucketOf(e provision.Event) string {
	if e.Durable() {
		return decisionBucket
	}
	return eventBucket
}

// eventKey is the key of an event. The keys of a machine's events sort by ID.
func eventKey(mac provision.MAC, id uint64) string { return fmt.Sprintf("%s/%016x", mac, id) }

// readRecord reads a machine's record. The value is nil if there is none.
func (t *Tracker) readRecord(mac provision.MAC, value []byte) record {
	if value == nil {
		return record{State: t.unseen(mac)}
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		t.log.Error("the record of a machine is damaged; it is not installed until it is armed", "machine", mac, "error", err)
		return record{State: provision.State{MAC: mac, Stage: provision.StageNew, Restored: true}}
	}
	return r
}
