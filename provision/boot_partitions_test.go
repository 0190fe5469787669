package provision_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

// TestBootPartitions: a system has the partitions that its install told, through an update
// and a roll-back, and what a machine may tell is bounded.
func TestBootPartitions(t *testing.T) {
	const mac = provision.MAC("52:54:00:00:00:01")
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	fold := func(s provision.State, events ...provision.Event) provision.State {
		for _, e := range events {
			now = now.Add(time.Second)
			e.MAC, e.Time = mac, now
			s = provision.Fold(s, e)
		}
		return s
	}
	install := func(id, slot string, beside bool, partitions ...string) []provision.Event {
		return []provision.Event{
			{Kind: provision.KindClaim, Stage: provision.StageAgent, System: &provision.System{ID: id, Image: "web"}},
			{Kind: provision.KindDone, Stage: provision.StageInstalled, Slot: slot, Beside: beside, Report: &provision.Report{BootPartitions: partitions}},
		}
	}
	s := fold(provision.State{}, install("first", "a", false, "esp", "its mirror")...)
	if !slices.Equal(s.Has.BootPartitions, []string{"esp", "its mirror"}) {
		t.Errorf("after the install it has %q", s.Has.BootPartitions)
	}
	s = fold(s, install("second", "b", true, "esp")...)
	if !slices.Equal(s.Has.BootPartitions, []string{"esp"}) {
		t.Errorf("after the update it has %q", s.Has.BootPartitions)
	}
	s = fold(s, provision.Event{Kind: provision.KindClaim, Stage: provision.StageAgent}, provision.Event{Kind: provision.KindDone, Slot: "a", Rollback: "a", Beside: true})
	if s.Has.ID != "first" || !slices.Equal(s.Has.BootPartitions, []string{"esp", "its mirror"}) {
		t.Errorf("after the roll-back it has %+v", s.Has)
	}
	long := provision.Report{BootPartitions: []string{strings.Repeat("x", 5000), "b", "c"}}.Bounded()
	if len(long.BootPartitions) != 2 || len(long.BootPartitions[0]) > 200 {
		t.Errorf("a report keeps %d partitions, the first of %d bytes", len(long.BootPartitions), len(long.BootPartitions[0]))
	}
}
