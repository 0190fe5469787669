package track

import (
	"fmt"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// TestEventsOfACrowdAreCollected: a few events are written soon, and those of a crowd
// when some of each machine may have come.
func TestEventsOfACrowdAreCollected(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	kept := &store.Memory{}
	tr, err := NewTracker(kept, Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	machines := 0
	observe := func(most int) {
		t.Helper()
		for ; machines < most; machines++ {
			mac := provision.MAC(fmt.Sprintf("02:00:00:00:%02x:%02x", machines>>8, machines&255))
			if err := tr.Observe(provision.Event{MAC: mac, Kind: provision.KindDHCP, Text: "DISCOVER"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	written := func(want int) {
		t.Helper()
		if err := tr.flush(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		n := 0
		err := kept.View(t.Context(), func(tx store.Tx) error {
			return tx.Scan(eventBucket, "", "", func(string, []byte) error { n++; return nil })
		})
		if err != nil || n != want {
			t.Errorf("%d events are written, want %d (%v)", n, want, err)
		}
	}
	observe(10)
	written(10)
	observe(10 + 2*crowd)
	written(10)
	now = now.Add(collectTime)
	written(10 + 2*crowd)
}
