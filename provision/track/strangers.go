package track

import (
	"slices"
)

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
