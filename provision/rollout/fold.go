package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"cloudlets/provision"
)

// Rollout is a roll-out as it is now: an order, folded with the steps of its machines.
// It is made by [New].
type Rollout struct {
	Order
	Status
	steps  map[provision.MAC]Step // of machines that do not wait
	counts map[Phase]int          // of steps
	armed  map[int]int            // machines that are armed, by their waves
	index  map[provision.MAC]int  // in Machines; shared by copies, since it never changes
	next   int                    // no machine before this index waits
}

// New is a roll-out of which no machine has been armed.
func New(o Order, s Status) *Rollout {
	r := &Rollout{Order: o, Status: s, steps: make(map[provision.MAC]Step), counts: make(map[Phase]int), armed: make(map[int]int), index: make(map[provision.MAC]int, len(o.Machines))}
	for i, mac := range o.Machines {
		r.index[mac] = i
	}
	return r
}

// Put folds a machine's step into the roll-out. What it costs does not depend on how many
// machines there are, but for the walk to the next one that waits, which ends once.
func (r *Rollout) Put(mac provision.MAC, s Step) {
	i, in := r.index[mac]
	if !in {
		return
	}
	if before, had := r.steps[mac]; had {
		r.count(i, before.Phase, -1)
		delete(r.steps, mac)
	}
	if s.Phase == Waiting || s.Phase == "" {
		r.next = min(r.next, i)
		return
	}
	r.steps[mac] = s
	r.count(i, s.Phase, 1)
	for r.next < len(r.Machines) && r.Step(r.Machines[r.next]).Phase != Waiting {
		r.next++
	}
}

func (r *Rollout) count(i int, p Phase, more int) {
	r.counts[p] += more
	if wave := r.Wave(i); p == Armed {
		if r.armed[wave] += more; r.armed[wave] == 0 {
			delete(r.armed, wave)
		}
	}
}

// Index is a machine's place in [Order.Machines].
func (r *Rollout) Index(mac provision.MAC) (i int, in bool) {
	i, in = r.index[mac]
	return i, in
}

// Step is how far a machine has come.
func (r *Rollout) Step(mac provision.MAC) Step {
	s := r.steps[mac]
	s.Phase = cmp.Or(s.Phase, Waiting)
	return s
}

// Count is how many machines are in a phase.
func (r *Rollout) Count(p Phase) int {
	if p == Waiting {
		return len(r.Machines) - len(r.steps)
	}
	return r.counts[p]
}

// UnderWay are the machines that are armed, or that were good and may still fall back, in
// no order.
func (r *Rollout) UnderWay() (machines []provision.MAC) {
	for mac, s := range r.steps {
		if s.Phase == Armed || s.Phase == Good {
			machines = append(machines, mac)
		}
	}
	return machines
}

// Unbooted are the machines that should boot from the network and have not yet, and since
// when. They are of the waves that have machines under way, so what this costs depends on
// AtATime alone.
func (r *Rollout) Unbooted() map[provision.MAC]time.Time {
	if r.BootWithin == 0 {
		return nil
	}
	list := make(map[provision.MAC]time.Time)
	for wave := range r.armed {
		for i := (wave - 1) * r.AtATime; i < min(wave*r.AtATime, len(r.Machines)); i++ {
			mac := r.Machines[i]
			if s := r.steps[mac]; s.Phase == Armed && !s.Awaited.IsZero() {
				list[mac] = s.Awaited
			}
		}
	}
	return list
}

// Clone is a copy of which the steps can be changed.
func (r *Rollout) Clone() *Rollout {
	c := *r
	c.steps, c.counts, c.armed = maps.Clone(r.steps), maps.Clone(r.counts), maps.Clone(r.armed)
	return &c
}

// Move is what a roll-out needs now. The zero value is nothing: it waits for machines.
type Move struct {
	// Arm are the machines whose turn has come, in order.
	Arm []provision.MAC
	// Phase is what the roll-out becomes, or "", and Why says why it stops.
	Phase Phase
	Why   string
}

// Next says what a roll-out needs now. A wave begins when each machine of the waves before
// is good or bad. Once too many are bad no further machine is armed, not even of a wave that
// has begun.
func (r *Rollout) Next() Move {
	switch {
	case r.Phase == Ended:
		return Move{}
	case r.Count(Waiting) == 0 && r.Count(Armed) == 0:
		return Move{Phase: Ended}
	case r.Phase != Running:
		return Move{}
	case r.TooManyBad() && r.Count(Waiting) > 0:
		return Move{Phase: Stopped, Why: fmt.Sprintf("%d of %d machines are bad", r.Count(Bad), len(r.Machines))}
	case r.Count(Waiting) == 0:
		return Move{}
	}
	wave := r.Wave(r.next)
	if r.Count(Armed) > r.armed[wave] {
		return Move{}
	}
	var m Move
	for i := r.next; i < len(r.Machines) && r.Wave(i) == wave; i++ {
		if mac := r.Machines[i]; r.Step(mac).Phase == Waiting {
			m.Arm = append(m.Arm, mac)
		}
	}
	return m
}

// TooManyBad says that no further machine may be armed.
func (r *Rollout) TooManyBad() bool { return r.Count(Bad)-r.Forgiven >= r.StopAfter }

// trialTime is how long after it was good a machine's fall-back counts: long enough for its
// trial, and for the starts of a system that dies again and again.
const trialTime = time.Hour

// bootedForInstall says whether a machine's state shows that it has booted from the network
// for its install, which was armed at a time. Its old system may be starting yet then.
func bootedForInstall(state provision.State, armed time.Time) bool {
	if state.Installing() || state.InstalledAt.After(armed) {
		return true
	}
	if !state.Since.After(armed) {
		return false
	}
	switch state.Stage {
	case provision.StageFirmware, provision.StageLoader, provision.StageKernel, provision.StageFailed, provision.StageInstalled:
		return true
	}
	return false
}

// Judge is a machine's step, as its state makes it. A machine that was good and falls back
// to the system in its other slot is bad after all. Otherwise what is good or bad stays so.
func Judge(s Step, spec *provision.Spec, state provision.State, now time.Time) Step {
	handover := provision.Handover("")
	if spec != nil {
		handover = spec.Handover
	}
	if s.Phase != Armed && (s.Phase != Good || !state.FellBack(s.Armed) || now.Sub(s.Time) > trialTime) {
		return s
	}
	switch outcome, why := provision.OutcomeOf(state, s.Armed, provision.Decide(spec, state), handover); outcome {
	case provision.OutcomeGood:
		s.Phase, s.Switch, s.Awaited, s.Time = Good, false, time.Time{}, now
	case provision.OutcomeBad:
		s = s.Failed(why, now)
	case provision.OutcomeOpen:
		if bootedForInstall(state, s.Armed) {
			s.Switch, s.Awaited = false, time.Time{}
		}
	}
	return s
}

// Late is the step of a machine that has not booted from the network in its time.
func (o Order) Late(mac provision.MAC, s Step, now time.Time) Step {
	return s.Failed(fmt.Sprintf("it is armed, and did not boot from the network within %s: look at its power, its boot order and its cable; disarm it with `cloudlets install %s --cancel`", Span(o.BootWithin), mac), now)
}
