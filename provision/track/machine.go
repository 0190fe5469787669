package track

import (
	"slices"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// machine is what the tracker has in memory about one machine.
type machine struct {
	// state is the state in the store, with the events that wait folded onto it. It is
	// replaced and never changed, since watchers and readers have it as well.
	state *provision.State
	// stored is the state in the store, if events wait.
	stored   *provision.State
	waiting  []waiting         // this server's own events, oldest first
	recent   []provision.Event // this server's latest few, to find repetitions; see remember
	stranger bool
}

// waiting is an event that is folded, published, and not written yet.
type waiting struct {
	provision.Event
	// first is the event that this one repeats, with its new count. Then this
	// event is not stored, and first is stored again.
	first *provision.Event
	// also is a further change of the store that belongs to the event.
	also func(store.Tx) error
}

// wait adds an event to those that wait to be written. The caller holds mu.
func (t *Tracker) wait(m *machine, w waiting) {
	if len(m.waiting) == 0 {
		stored := m.state.WithoutProgress()
		m.stored = &stored
		t.lane(w.MAC).dirty[w.MAC] = struct{}{}
	}
	m.waiting = append(m.waiting, w)
	t.fold(m, w.Event)
	t.waiting++
	t.wake()
}

// settle takes over the state that the store has now, and drops the waiting
// events that it contains. The caller holds mu.
func (t *Tracker) settle(m *machine, stored provision.State, contains func(waiting) bool) {
	before := len(m.waiting)
	m.waiting = slices.DeleteFunc(m.waiting, contains)
	t.waiting -= before - len(m.waiting)
	state := stored
	for _, w := range m.waiting {
		state = provision.Fold(state, w.Event)
	}
	if was := m.state; was != nil && state.Stage == was.Stage && state.Since.Equal(was.Since) {
		state.Progress = was.Progress
	}
	m.state = &state
	if len(m.waiting) == 0 {
		m.waiting, m.stored = nil, nil
		delete(t.lane(stored.MAC).dirty, stored.MAC)
	} else {
		m.stored = &stored
	}
	t.changed(m)
}

// fold takes an event into a machine's state. The caller holds mu.
func (t *Tracker) fold(m *machine, e provision.Event) {
	state := provision.Fold(*m.state, e)
	m.state = &state
	t.changed(m)
}

// machine returns the entry of a machine, and makes it if there is none. The
// caller holds mu.
func (t *Tracker) machine(mac provision.MAC) *machine {
	m, known := t.machines[mac]
	if known {
		return m
	}
	unseen := t.unseen(mac)
	m = &machine{state: &unseen, stranger: !t.known(mac)}
	if m.stranger {
		if t.strangers >= maxStrangers {
			t.forgetStrangers()
		}
		t.strangers++
	}
	t.machines[mac] = m
	return m
}

// remove takes a machine out of memory. The caller holds mu.
func (t *Tracker) remove(mac provision.MAC) {
	m, known := t.machines[mac]
	if !known {
		return
	}
	if m.stranger {
		t.strangers--
	}
	t.waiting -= len(m.waiting)
	delete(t.lane(mac).dirty, mac)
	delete(t.machines, mac)
	unseen := t.unseen(mac)
	t.tell(&unseen, false)
}

// forgetStrangers makes room. It forgets a sixteenth of the machines that are not
// in the site, those first that were not seen for the longest time. It keeps a
// machine that is armed, was cancelled, was ever installed, failed, or is being
// installed: its file may only be gone for a while.
func (t *Tracker) forgetStrangers() {
	var idle []*machine
	t.strangers = 0
	for mac, m := range t.machines {
		s := m.state
		m.stranger = !t.known(mac) && !s.Armed && !s.Cancelled && s.Installs == 0 && s.Failure == "" && !s.Installing()
		if m.stranger {
			idle = append(idle, m)
			t.strangers++
		}
	}
	slices.SortFunc(idle, func(a, b *machine) int { return a.state.Seen.Compare(b.state.Seen) })
	for _, m := range idle[:min(len(idle), maxStrangers/16)] {
		t.remove(m.state.MAC)
		t.lane(m.state.MAC).forgotten[m.state.MAC] = struct{}{}
	}
	t.wake()
	if now := t.clock(); now.Sub(t.forgetSaid) >= warnPause {
		t.forgetSaid = now
		t.log.Warn("too many machines are seen that are not in the site; those not seen for the longest time are forgotten", "limit", maxStrangers)
	}
}
