package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func mac(n int) provision.MAC { return provision.MAC(fmt.Sprintf("52:54:00:00:00:%02x", n)) }

func machines(n int) (list []provision.MAC) {
	for i := range n {
		list = append(list, mac(i))
	}
	return list
}

// fold is a roll-out whose first machines are in the phases of the letters of text: waiting,
// armed, good or bad.
func fold(atATime, stopAfter int, phase rollout.Phase, text string) *rollout.Rollout {
	phases := map[rune]rollout.Phase{'w': rollout.Waiting, 'a': rollout.Armed, 'g': rollout.Good, 'b': rollout.Bad}
	r := rollout.New(rollout.Order{Machines: machines(len(text)), AtATime: atATime, StopAfter: stopAfter}, rollout.Status{Phase: phase})
	for i, letter := range text {
		r.Put(mac(i), rollout.Step{Phase: phases[letter]})
	}
	return r
}

// TestNext: waves, their ends, and when there are no more.
func TestNext(t *testing.T) {
	for _, test := range []struct {
		atATime, stopAfter int
		text               string
		phase              rollout.Phase
		arm                string // the first and the last that are armed
		becomes            rollout.Phase
	}{
		{3, 1, "wwwwwww", rollout.Running, "0-2", ""},
		{3, 1, "aaawwww", rollout.Running, "", ""},
		{3, 1, "aawwwww", rollout.Running, "2-2", ""}, // a server died in the middle of a wave
		{3, 1, "ggawwww", rollout.Running, "", ""},
		{3, 1, "gggwwww", rollout.Running, "3-5", ""},
		{3, 1, "ggggggw", rollout.Running, "6-6", ""},
		{3, 1, "ggggggg", rollout.Running, "", rollout.Ended},
		{3, 1, "ggggggb", rollout.Running, "", rollout.Ended},
		{3, 1, "gggggga", rollout.Running, "", ""},
		{3, 1, "gabwwww", rollout.Running, "", rollout.Stopped},
		{3, 1, "bwwwwww", rollout.Running, "", rollout.Stopped}, // it could not be armed
		{3, 2, "gabwwww", rollout.Running, "", ""},
		{3, 2, "ggbwwww", rollout.Running, "3-5", ""},
		{3, 2, "ggbbwww", rollout.Running, "", rollout.Stopped},
		{3, 2, "ggbagww", rollout.Running, "5-5", ""},
		{3, 1, "gabwwww", rollout.Stopped, "", ""},
		{3, 1, "gwwwwww", rollout.Stopped, "", ""},
		{3, 1, "gggabgg", rollout.Stopped, "", ""},
		{3, 1, "gggbbgg", rollout.Stopped, "", rollout.Ended},
		{3, 1, "gggbbgg", rollout.Ended, "", ""},
		{500, 1, "www", rollout.Running, "0-2", ""},
		{1, 1, "gww", rollout.Running, "1-1", ""},
	} {
		r := fold(test.atATime, test.stopAfter, test.phase, test.text)
		got := r.Next()
		arm := ""
		if n := len(got.Arm); n > 0 {
			first, _ := r.Index(got.Arm[0])
			last, _ := r.Index(got.Arm[n-1])
			arm = fmt.Sprintf("%d-%d", first, last)
		}
		if arm != test.arm || got.Phase != test.becomes || (got.Why != "") != (got.Phase == rollout.Stopped) {
			t.Errorf("%s, %d at a time, stops after %d, %s: got %+v", test.text, test.atATime, test.stopAfter, test.phase, got)
		}
	}
}

// TestForgiven: once a person resumed it, those that were bad before do not stop it.
func TestForgiven(t *testing.T) {
	r := fold(2, 1, rollout.Running, "gbww")
	if !r.TooManyBad() {
		t.Error("one is bad, and none may be")
	}
	r.Forgiven = r.Count(rollout.Bad)
	if got := r.Next(); len(got.Arm) != 2 {
		t.Errorf("resumed, it does %+v", got)
	}
	r.Put(mac(2), rollout.Step{Phase: rollout.Bad})
	if got := r.Next(); got.Phase != rollout.Stopped {
		t.Errorf("after one more it does %+v", got)
	}
}

// TestPut: counts follow steps, whichever way they change, and a copy is one.
func TestPut(t *testing.T) {
	r := fold(2, 1, rollout.Running, "gaww")
	copied := r.Clone()
	for _, step := range []struct {
		mac   provision.MAC
		phase rollout.Phase
		want  string
	}{
		{mac(1), rollout.Armed, "2 1 1 0"},
		{mac(1), rollout.Good, "2 0 2 0"},
		{mac(1), rollout.Bad, "2 0 1 1"},
		{mac(3), rollout.Armed, "1 1 1 1"},
		{mac(0), rollout.Waiting, "2 1 0 1"},
		{mac(99), rollout.Bad, "2 1 0 1"}, // it is in no wave
	} {
		r.Put(step.mac, rollout.Step{Phase: step.phase})
		got := fmt.Sprint(r.Count(rollout.Waiting), r.Count(rollout.Armed), r.Count(rollout.Good), r.Count(rollout.Bad))
		if got != step.want {
			t.Errorf("after %s is %s: %s, want %s", step.mac, step.phase, got, step.want)
		}
	}
	r.Forgiven = 1
	if got := r.Next(); got.Arm != nil {
		t.Errorf("one of the second wave is armed, and it does %+v", got)
	}
	if copied.Count(rollout.Armed) != 1 || copied.Step(mac(1)).Phase != rollout.Armed {
		t.Error("the copy has changed")
	}
}

// TestNextOfMany: a roll-out of as many as there may be comes to its end, each machine once.
func TestNextOfMany(t *testing.T) {
	var list []provision.MAC
	for i := range rollout.MaxMachines {
		list = append(list, provision.MAC(fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&255)))
	}
	r := rollout.New(rollout.Order{Machines: list, AtATime: 7, StopAfter: 1}, rollout.Status{Phase: rollout.Running})
	var armed []provision.MAC
	for range r.Waves() {
		m := r.Next()
		for _, mac := range m.Arm {
			r.Put(mac, rollout.Step{Phase: rollout.Good})
		}
		armed = append(armed, m.Arm...)
	}
	if got := r.Next(); got.Phase != rollout.Ended || len(armed) != len(list) {
		t.Errorf("%d of %d were armed, then %+v", len(armed), len(list), got)
	}
	for i := range armed {
		if armed[i] != list[i] {
			t.Fatalf("machine %d is %s, want %s", i, armed[i], list[i])
		}
	}
}

// TestJudge: what a machine's state makes of its step.
func TestJudge(t *testing.T) {
	spec := &provision.Spec{MAC: mac(1), Image: "web"}
	armed := rollout.Step{Phase: rollout.Armed, Armed: noon, Switch: true}
	good := rollout.Step{Phase: rollout.Good, Armed: noon, Time: noon}
	longAgo := rollout.Step{Phase: rollout.Good, Armed: noon, Time: noon.Add(-2 * time.Hour)}
	later := noon.Add(time.Minute)
	order := spec.Order()
	state := func(change func(*provision.State)) provision.State {
		s := provision.State{MAC: mac(1), Stage: provision.StageLocal, Since: noon.Add(-time.Hour), Armed: true, Pin: &provision.Pin{Order: order}}
		if change != nil {
			change(&s)
		}
		return s
	}
	fellBack := func(s *provision.State) {
		s.Armed, s.Stage, s.Since, s.InstalledAt = false, provision.StageRunning, later, later
		s.Has, s.Kept, s.OnTrial = &provision.System{ID: "1", Image: "web@1", Slot: "a"}, &provision.System{ID: "2", Image: "web@2", Slot: "b", Time: later}, "2"
	}
	awaited := rollout.Step{Phase: rollout.Armed, Armed: noon, Awaited: noon}
	for name, test := range map[string]struct {
		step    rollout.Step
		state   provision.State
		want    rollout.Phase
		sw      bool
		why     string
		awaited bool
	}{
		"it has not booted yet":       {armed, state(nil), rollout.Armed, true, "", false},
		"it boots":                    {armed, state(func(s *provision.State) { s.Stage, s.Since = provision.StageFirmware, later }), rollout.Armed, false, "", false},
		"it is installed":             {armed, state(func(s *provision.State) { s.Armed, s.Stage, s.InstalledAt = false, provision.StageInstalled, later }), rollout.Good, false, "", false},
		"it failed":                   {armed, state(func(s *provision.State) { s.Stage, s.Since, s.Failure = provision.StageFailed, later, "smoke" }), rollout.Bad, false, "smoke", false},
		"it was called off":           {armed, state(func(s *provision.State) { s.Armed, s.Cancelled = false, true }), rollout.Bad, false, "called off", false},
		"it fell back":                {armed, state(fellBack), rollout.Bad, false, "fell back", false},
		"it was good and fell back":   {good, state(fellBack), rollout.Bad, false, "fell back", false},
		"it fell back a day later":    {longAgo, state(fellBack), rollout.Good, false, "", false},
		"its old system starts":       {armed, state(func(s *provision.State) { s.Since = later }), rollout.Armed, true, "", false},
		"it was good and is switched": {good, state(func(s *provision.State) { s.Armed, s.Stage = false, provision.StageLocal }), rollout.Good, false, "", false},
		"it was bad and runs":         {armed.Failed("quiet", later), state(func(s *provision.State) { s.Armed, s.InstalledAt = false, later }), rollout.Bad, false, "quiet", false},
		"it waits":                    {rollout.Step{Phase: rollout.Waiting}, state(fellBack), rollout.Waiting, false, "", false},
		"it is awaited":               {awaited, state(nil), rollout.Armed, false, "", true},
		"its old system starts yet":   {awaited, state(func(s *provision.State) { s.Since = later }), rollout.Armed, false, "", true},
		"it is awaited and boots":     {awaited, state(func(s *provision.State) { s.Stage, s.Since = provision.StageFirmware, later }), rollout.Armed, false, "", false},
		"it was at it when armed":     {awaited, state(func(s *provision.State) { s.Stage, s.Since = provision.StageStream, noon.Add(-time.Minute) }), rollout.Armed, false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := rollout.Judge(test.step, spec, test.state, later)
			if got.Awaited.IsZero() == test.awaited || got.Phase != test.want || got.Switch != test.sw || !strings.Contains(got.Why, test.why) {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got := rollout.Judge(armed, nil, state(nil), later); got.Phase != rollout.Bad {
		t.Errorf("without a file: %+v", got)
	}
}

// TestCheck: orders that cannot be carried out.
func TestCheck(t *testing.T) {
	whole := rollout.Order{Machines: machines(4), AtATime: 2, StopAfter: 1}
	if err := whole.Check(); err != nil {
		t.Error(err)
	}
	if whole.Waves() != 2 || whole.Wave(1) != 1 || whole.Wave(2) != 2 {
		t.Errorf("%d waves", whole.Waves())
	}
	for what, change := range map[string]func(*rollout.Order){
		"no machines":      func(o *rollout.Order) { o.Machines = nil },
		"too many":         func(o *rollout.Order) { o.Machines = make([]provision.MAC, rollout.MaxMachines+1) },
		"0 machines":       func(o *rollout.Order) { o.AtATime = 0 },
		"501 machines":     func(o *rollout.Order) { o.AtATime = rollout.MaxAtATime + 1 },
		"stop after 0":     func(o *rollout.Order) { o.StopAfter = 0 },
		"is in it twice":   func(o *rollout.Order) { o.Machines = append(machines(4), mac(2)) },
		"stop after 10001": func(o *rollout.Order) { o.StopAfter = rollout.MaxMachines + 1 },
	} {
		o := whole
		change(&o)
		if err := o.Check(); !errors.Is(err, rollout.ErrOrder) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{30 * time.Minute: "30m", time.Hour: "1h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 10 * time.Second: "10s", 0: "0s"} {
		if got := rollout.Span(d); got != want {
			t.Errorf("%v is written as %s, want %s", d, got, want)
		}
	}
}

// TestUnbooted: machines that are awaited, of all waves that have some under way.
func TestUnbooted(t *testing.T) {
	r := fold(3, 1, rollout.Running, "gaagwww")
	if list := r.Unbooted(); list != nil {
		t.Errorf("where any time is right, %v are awaited", list)
	}
	r.BootWithin = time.Hour
	r.Put(mac(1), rollout.Step{Phase: rollout.Armed, Armed: noon, Awaited: noon})
	r.Put(mac(2), rollout.Step{Phase: rollout.Armed, Armed: noon})
	r.Put(mac(6), rollout.Step{Phase: rollout.Armed, Armed: noon, Awaited: noon.Add(time.Minute)})
	list := r.Unbooted()
	if len(list) != 2 || !list[mac(1)].Equal(noon) || !list[mac(6)].Equal(noon.Add(time.Minute)) {
		t.Errorf("awaited are %v", list)
	}
}
