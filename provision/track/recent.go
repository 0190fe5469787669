package track

import (
	"slices"
	"time"

	"cloudlets/provision"
)

// repeats says whether an event is the same as one a moment ago. If so, it raises
// that one's count. The caller holds mu.
func (t *Tracker) repeats(m *machine, e provision.Event) bool {
	if e.Stage != "" && e.Stage != m.state.Stage {
		return false
	}
	for i := range m.recent {
		first := &m.recent[i]
		if !e.SameAs(*first) || isPast(first.Time, e.Time) {
			continue
		}
		first.Count = max(first.Count, 1) + 1
		again := *first
		t.dropRepetition(m, first.ID)
		e.ID = t.takeID()
		t.wait(m, waiting{Event: e, first: &again})
		return true
	}
	return false
}

// dropRepetition drops the waiting repetition of an event, since a later one that
// has the same effect takes its place. So a flood of the same packet takes no
// memory.
func (t *Tracker) dropRepetition(m *machine, first uint64) {
	before := len(m.waiting)
	m.waiting = slices.DeleteFunc(m.waiting, func(w waiting) bool { return w.first != nil && w.first.ID == first })
	t.waiting -= before - len(m.waiting)
}

// remember keeps an event to compare the next ones with, and forgets those for which it
// is too late: the events of all machines take far more memory than those of a moment.
// The caller holds mu.
func (t *Tracker) remember(m *machine, e provision.Event) {
	if len(m.recent) >= maxRecent {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, e)
	now := t.clock()
	t.remembered = append(t.remembered, remembered{m, now})
	for len(t.remembered) > 0 && isPast(t.remembered[0].at, now) {
		t.remembered[0].machine.forget(now)
		t.remembered = t.remembered[1:]
	}
}

// remembered says since when a machine remembers something.
type remembered struct {
	machine *machine
	at      time.Time
}

// isPast says whether it is too late to repeat what was at a time. If the clock was set
// back, it is.
func isPast(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= repeatTime || age < 0
}

// forget forgets the events that none can repeat any more.
func (m *machine) forget(now time.Time) {
	m.recent = slices.DeleteFunc(m.recent, func(e provision.Event) bool { return isPast(e.Time, now) })
	if len(m.recent) == 0 {
		m.recent = nil
	}
}
