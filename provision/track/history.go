package track

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// Events returns the latest events of a machine with IDs above after, in order.
// It returns at most limit of them, or all that are kept if limit is 0.
func (t *Tracker) Events(ctx context.Context, mac provision.MAC, after uint64, limit int) ([]provision.Event, error) {
	if err := t.flushMachine(ctx, mac); err != nil {
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
