package track

import (
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// TestForgetsWhatNothingRepeats: a machine's events are in memory for as long as others
// can repeat them, and not for as long as the machine is known.
func TestForgetsWhatNothingRepeats(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	tr, err := NewTracker(&store.Memory{}, Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	const one, other provision.MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
	record := func(mac provision.MAC, text string) {
		t.Helper()
		if err := tr.Record(t.Context(), provision.Event{MAC: mac, Kind: provision.KindDHCP, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	remembered := func(mac provision.MAC) int { return len(tr.machines[mac].recent) }

	record(one, "DISCOVER")
	now = now.Add(repeatTime - time.Second)
	record(one, "REQUEST")
	if n := remembered(one); n != 2 {
		t.Errorf("%d events are remembered, want both, as they can be repeated", n)
	}
	now = now.Add(time.Second)
	record(other, "DISCOVER")
	if n := remembered(one); n != 1 {
		t.Errorf("%d events are remembered, want the second only", n)
	}
	now = now.Add(time.Hour)
	record(other, "DISCOVER")
	if n := remembered(one); n != 0 || tr.machines[one].recent != nil {
		t.Errorf("%d events are remembered an hour later", n)
	}
	if n := len(tr.remembered); n != 1 {
		t.Errorf("%d entries say what is remembered, want that of the last event", n)
	}

	now = now.Add(-24 * time.Hour) // the clock is set back
	record(one, "DISCOVER")
	if n := len(tr.remembered); n != 1 {
		t.Errorf("%d entries say what is remembered after the clock was set back, want that of the last event", n)
	}
}
