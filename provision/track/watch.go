package track

import "cloudlets/provision"

// Watcher is told the state of a machine whenever it changes. known is false if the
// tracker has forgotten the machine. A Watcher is called while the tracker is
// locked: it must be quick, and must not call the tracker, except for
// [Tracker.Machine]. It may keep the state, which is shared and never changed, so it must
// not write to it.
type Watcher func(state *provision.State, known bool)

// Watch tells a watcher of all machines that are known, and then of every change,
// for as long as the tracker is used.
func (t *Tracker) Watch(w Watcher) {
	t.lock()
	defer t.unlock()
	t.watchers = append(t.watchers, w)
	for _, m := range t.machines {
		w(m.state, true)
	}
}

// Tell tells all watchers the present state of a machine once more. Whoever changes
// something else that they look at calls it.
func (t *Tracker) Tell(mac provision.MAC) {
	t.lock()
	defer t.unlock()
	if m, known := t.machines[mac]; known {
		t.changed(m)
		return
	}
	unseen := t.unseen(mac)
	t.tell(&unseen, false)
}

// changed tells the watchers, and the index of cards, of a machine's new state. The
// caller holds mu.
func (t *Tracker) changed(m *machine) { t.tell(m.state, true) }

func (t *Tracker) tell(state *provision.State, known bool) {
	if known {
		t.states.Store(state.MAC, state)
	} else {
		t.states.Delete(state.MAC)
	}
	t.cards.update(state, known && t.known(state.MAC))
	for _, w := range t.watchers {
		w(state, known)
	}
}
