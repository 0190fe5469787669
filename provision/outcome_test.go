package provision_test

import (
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

// TestOutcomeOf: of each way that an install can end, and of each that only looks like one.
func TestOutcomeOf(t *testing.T) {
	armed := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	before, done, later := armed.Add(-time.Hour), armed.Add(time.Minute), armed.Add(2*time.Minute)
	install, local := provision.Decision{Action: provision.ActionInstall}, provision.Decision{Action: provision.ActionLocal, Reason: "ann cancelled it"}
	newer := func(tells bool) *provision.System {
		return &provision.System{ID: "newer", Image: "web@2", Slot: "b", Tells: tells, Time: done}
	}
	older := &provision.System{ID: "older", Image: "web@1", Slot: "a", Tells: true, Time: before}
	for name, test := range map[string]struct {
		state    provision.State
		next     provision.Decision
		handover provision.Handover
		want     provision.Outcome
		why      string
	}{
		"it waits for its boot":           {state: provision.State{Stage: provision.StageLocal, Armed: true}, next: install},
		"it is being installed":           {state: provision.State{Stage: provision.StageStream, Since: done}, next: local},
		"it failed before":                {state: provision.State{Stage: provision.StageFailed, Since: before, Armed: true, Failure: "old"}, next: install},
		"it tries again":                  {state: provision.State{Stage: provision.StageFailed, Since: done, Armed: true, Again: true}, next: install},
		"it failed":                       {provision.State{Stage: provision.StageFailed, Since: done, Armed: true, Failure: "the disk burns"}, install, "", provision.OutcomeBad, "the disk burns"},
		"it was quiet before":             {state: provision.State{Stage: provision.StageLocal, Armed: true, Quiet: &provision.Quiet{Since: before}}, next: install},
		"it is quiet":                     {provision.State{Stage: provision.StageStream, Quiet: &provision.Quiet{Since: done, Cause: "no power"}}, local, "", provision.OutcomeBad, "no power"},
		"it was called off":               {provision.State{Stage: provision.StageLocal}, local, "", provision.OutcomeBad, "ann cancelled it"},
		"installed before":                {provision.State{Stage: provision.StageInstalled, InstalledAt: before, Has: older}, local, "", provision.OutcomeBad, "called off"},
		"installed, and cannot say more":  {state: provision.State{Stage: provision.StageInstalled, InstalledAt: done, Has: newer(false)}, next: local, want: provision.OutcomeGood},
		"installed, and does not run yet": {state: provision.State{Stage: provision.StageInstalled, InstalledAt: done, Has: newer(true), Kept: older}, next: local},
		"installed, and switched off":     {provision.State{Stage: provision.StageInstalled, InstalledAt: done, Has: newer(true)}, local, provision.PowerOff, provision.OutcomeGood, ""},
		"the old system ran":              {state: provision.State{Stage: provision.StageInstalled, InstalledAt: done, Has: newer(true), Running: &provision.Running{Time: before}}, next: local},
		"it runs":                         {state: provision.State{Stage: provision.StageRunning, InstalledAt: done, Has: newer(true), Kept: older, Running: &provision.Running{Time: later}}, next: local, want: provision.OutcomeGood},
		"it fell back":                    {provision.State{Stage: provision.StageRunning, InstalledAt: done, OnTrial: "newer", Has: older, Kept: newer(true), Running: &provision.Running{Time: later}}, local, "", provision.OutcomeBad, "fell back to web@1 in slot A"},
		"its roll-back did not last":      {provision.State{Stage: provision.StageRunning, InstalledAt: done, OnTrial: "older", Has: newer(true), Kept: older, Running: &provision.Running{Time: later}}, local, "", provision.OutcomeBad, "fell back"},
		"it went back":                    {state: provision.State{Stage: provision.StageRunning, InstalledAt: done, OnTrial: "older", Has: older, Kept: newer(true), Running: &provision.Running{Time: later}}, next: local, want: provision.OutcomeGood},
		"its file changed":                {provision.State{Stage: provision.StageLocal, Armed: true}, local, "", provision.OutcomeBad, "would not be installed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := provision.OutcomeOf(test.state, armed, test.next, test.handover)
			if got != test.want || !strings.Contains(why, test.why) || got != provision.OutcomeBad && why != "" {
				t.Errorf("got %q: %s", got, why)
			}
		})
	}
}

// TestFoldsToAFallBack: the events of an update that does not prove itself.
func TestFoldsToAFallBack(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var s provision.State
	events := append(written("one", "a", false), written("two", "b", true)...)
	for i, e := range append(events, runs("b"), runs("a")) {
		e.MAC, e.Time = "52:54:00:00:00:01", at.Add(time.Duration(i)*time.Minute)
		s = provision.Fold(s, e)
		if back := i == len(events)+1; s.FellBack(at) != back {
			t.Errorf("after event %d, %s: it fell back is %t", i, e.Kind, !back)
		}
	}
}
