package track

import (
	"context"
	"fmt"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// inspectionBucket has what was found in machines, by MAC. It is not in the states,
// since those of all machines are in memory.
const inspectionBucket = "inspections"

// Inspected is what is kept of an inspection.
type Inspected struct {
	provision.Inspection
	// Outcome is what the site's rules said of it, so that they say it once.
	Outcome string `json:"outcome,omitempty"`
}

// RecordInspection keeps what was found in a machine, together with an event about it.
// The caller has bounded both, and how many there are. It is forgotten with the machine.
func (t *Tracker) RecordInspection(ctx context.Context, e provision.Event, i Inspected) error {
	e.Found = i.Attributes()
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if e.Durable() {
		return fmt.Errorf("record the inspection of %s: a %s event decides about disks", e.MAC, e.Kind)
	}
	t.lock()
	m := t.machine(e.MAC)
	e.ID = t.takeID()
	t.wait(m, waiting{Event: e, also: func(tx store.Tx) error { return store.PutJSON(tx, inspectionBucket, string(e.MAC), i) }})
	t.remember(m, e)
	t.publish(e)
	t.unlock()
	return t.flushMachine(ctx, e.MAC)
}

// Inspection returns what was found in a machine when it was last inspected, and
// whether it ever was.
func (t *Tracker) Inspection(ctx context.Context, mac provision.MAC) (i Inspected, known bool, err error) {
	err = t.store.View(ctx, func(tx store.Tx) (err error) {
		known, err = store.GetJSON(tx, inspectionBucket, string(mac), &i)
		return err
	})
	if err != nil {
		return i, false, fmt.Errorf("read the inspection of %s: %w", mac, err)
	}
	return i, known, nil
}

// forgetAtOnce is how many events one transaction of Forget deletes.
const forgetAtOnce = 200

// Forget removes all that is known of a machine that no file describes. It refuses one
// that is being installed.
func (t *Tracker) Forget(ctx context.Context, mac provision.MAC) error {
	if t.known(mac) {
		return fmt.Errorf("forget %s: a file of the site describes it; remove that first", mac)
	}
	if state, _ := t.State(mac); state.Installing() {
		return fmt.Errorf("forget %s: it is being installed", mac)
	}
	l := t.lane(mac)
	l.writing.Lock()
	defer l.writing.Unlock()
	for more := true; more; {
		err := t.store.Update(ctx, func(tx store.Tx) error {
			more = false
			most := min(forgetAtOnce, t.store.Limits().Writes/8)
			for _, bucket := range []string{eventBucket, decisionBucket} {
				n, err := deleteOldest(tx, bucket, mac, most)
				if err != nil {
					return err
				}
				more = more || n == most
			}
			if more {
				return nil
			}
			return forgetMachine(tx, mac)
		})
		if err != nil {
			return fmt.Errorf("forget %s: %w", mac, err)
		}
	}
	t.lock()
	defer t.unlock()
	t.remove(mac)
	return nil
}
