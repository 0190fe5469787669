package provision_test

import (
	"testing"

	"cloudlets/provision"
)

// written are the events of an install of a system that has an ID, into a slot.
func written(id, slot string, beside bool) []provision.Event {
	return []provision.Event{
		{Kind: provision.KindClaim, Stage: provision.StageAgent, System: &provision.System{ID: id, Image: id}},
		{Kind: provision.KindStage, Stage: provision.StagePartition, Slot: slot, Beside: beside},
		{Kind: provision.KindDone, Slot: slot, Beside: beside},
	}
}

func runs(slot string) provision.Event {
	return provision.Event{Kind: provision.KindRunning, Slot: slot}
}

// TestFoldSlots: what a machine has, and what the other slot has.
func TestFoldSlots(t *testing.T) {
	first, second := written("one", "a", false), written("two", "b", true)
	begun := func(slot string, beside bool) []provision.Event { return written("next", slot, beside)[:2] }
	for name, test := range map[string]struct {
		events    [][]provision.Event
		has, kept string
	}{
		"a first install":              {[][]provision.Event{first}, "one", ""},
		"an update":                    {[][]provision.Event{first, second}, "two", "one"},
		"it runs":                      {[][]provision.Event{first, second, {runs("b")}}, "two", "one"},
		"it fell back":                 {[][]provision.Event{first, second, {runs("a")}}, "one", "two"},
		"it fell back, and again":      {[][]provision.Event{first, second, {runs("b"), runs("a"), runs("a")}}, "one", "two"},
		"an update is begun":           {[][]provision.Event{first, begun("b", true)}, "one", ""},
		"the next is begun":            {[][]provision.Event{first, second, begun("a", true)}, "two", ""},
		"one on trial is overwritten":  {[][]provision.Event{first, second, begun("b", true)}, "one", ""},
		"a failed one is overwritten":  {[][]provision.Event{first, second, {runs("a")}, begun("b", true)}, "one", ""},
		"all of the disk is":           {[][]provision.Event{first, second, begun("a", false)}, "", ""},
		"a disk without slots":         {[][]provision.Event{written("old", "", false), {runs("")}}, "old", ""},
		"slots in the place of others": {[][]provision.Event{first, second, written("new", "a", false)}, "new", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var events []provision.Event
			for _, some := range test.events {
				events = append(events, some...)
			}
			s := fold(events...)
			if got := imageOf(s.Has); got != test.has {
				t.Errorf("it has %q, want %q", got, test.has)
			}
			if got := imageOf(s.Kept); got != test.kept {
				t.Errorf("the other slot has %q, want %q", got, test.kept)
			}
			if s.Has != nil && s.InstallID != s.Has.ID && test.has != "one" {
				t.Errorf("the install is %s, and it has %s", s.InstallID, s.Has.ID)
			}
		})
	}
}

func imageOf(s *provision.System) string {
	if s == nil {
		return ""
	}
	return s.Image
}
