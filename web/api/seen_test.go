package api

import (
	"testing"

	"cloudlets/provision"
)

func TestSeenRemembersAndForgets(t *testing.T) {
	var s Seen
	event := func(id uint64, count int) bool { return s.IsNews(provision.Event{ID: id, Count: count}) }
	if !event(1, 0) || event(1, 0) || !event(1, 2) || event(1, 2) || !event(1, 3) {
		t.Error("an event came twice, or its count did not come")
	}
	for id := uint64(2); id < 3*maxSeen; id++ {
		if !event(id, 0) || event(id, 0) {
			t.Fatalf("event %d", id)
		}
	}
	if len(s.counts) != maxSeen || len(s.order) != maxSeen {
		t.Errorf("%d and %d are remembered, want %d", len(s.counts), len(s.order), maxSeen)
	}
}
