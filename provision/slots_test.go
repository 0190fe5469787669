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

// TestFoldRollback: a roll-back swaps the two systems, and one that does not last swaps them
// again.
func TestFoldRollback(t *testing.T) {
	events := append(written("one", "a", false), written("two", "b", true)...)
	events = append(events, provision.Event{Kind: provision.KindArmed, By: "ann", Rollback: "one"},
		provision.Event{Kind: provision.KindClaim, Stage: provision.StageAgent, System: &provision.System{ID: "three"}}, provision.Event{Kind: provision.KindDone, Rollback: "a", Slot: "a", Beside: true})
	s := fold(events...)
	if s.Has.Image != "one" || s.Kept.Image != "two" || s.Armed || s.Rollback != "" || s.Installs != 2 || s.FellBack(noon) {
		t.Errorf("after the roll-back the state is %+v", s)
	}
	if s = fold(append(events, runs("a"))...); s.Has.Image != "one" || s.FellBack(noon) {
		t.Errorf("when it runs the state is %+v", s)
	}
	if s = fold(append(events, runs("b"))...); s.Has.Image != "two" || !s.FellBack(noon) {
		t.Errorf("when it did not last the state is %+v", s)
	}
}

// TestDecideRollback: a machine goes back only to the system that a person meant.
func TestDecideRollback(t *testing.T) {
	spec := &provision.Spec{MAC: mac, Image: "web", Slots: 2}
	events := append(written("one", "a", false), written("two", "b", true)...)
	events = append(events, provision.Event{Kind: provision.KindArmed, By: "ann", Rollback: "one"})
	if d := provision.Decide(spec, fold(events...)); d.Action != provision.ActionInstall {
		t.Errorf("got %+v", d)
	}
	if d := provision.Decide(spec, fold(append(events, runs("a"))...)); d.Action != provision.ActionLocal { // it went back by itself
		t.Errorf("got %+v", d)
	}
}

// TestFailedUpdateDisarms: a machine whose update failed for good starts the system that it
// has, and does not come back for the same.
func TestFailedUpdateDisarms(t *testing.T) {
	for _, again := range []bool{true, false} {
		s := fold(append(written("one", "a", false), provision.Event{Kind: provision.KindArmed, By: "ann"},
			provision.Event{Kind: provision.KindFailed, Text: "too large", Beside: true, Again: again})...)
		if s.Armed != again || s.Has == nil {
			t.Errorf("again %t: the state is %+v", again, s)
		}
	}
}
