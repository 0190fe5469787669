package web

import (
	"testing"

	"cloudlets/provision"
)

func TestSentRemembersAndForgets(t *testing.T) {
	var s sent
	event := func(id uint64, count int) bool { return s.IsNews(provision.Event{ID: id, Count: count}) }
	if !event(1, 0) || event(1, 0) || !event(1, 2) || event(1, 2) || !event(1, 3) {
		t.Error("an event came twice, or its count did not come")
	}
	for id := uint64(2); id < 3*maxSent; id++ {
		if !event(id, 0) || event(id, 0) {
			t.Fatalf("event %d", id)
		}
	}
	if len(s.counts) != maxSent || len(s.order) != maxSent {
		t.Errorf("%d and %d are remembered, want %d", len(s.counts), len(s.order), maxSent)
	}
}
