package site

import (
	"maps"

	"cloudlets/provision"
)

// Facts says what is known of a machine's hardware, by the names of
// [provision.Inspection.Attributes]; nil if nothing is. It is asked while the site is read,
// several times at once, and must be quick. Nobody changes the map.
type Facts func(provision.MAC) map[string]string

// JudgeBy has the rules of profiles judged by what is known of the machines, and reads the
// site by that. Without it nothing is known. Call it before the site is used.
//
// Facts are one more thing that a reading of the site depends on, as files are: so all that
// a reading settles (who has which address, which images are wanted, what a machine boots)
// is settled with them, and an answer costs no more.
func (s *Site) JudgeBy(facts Facts) {
	s.reading.Lock()
	s.facts = facts
	s.reading.Unlock()
	s.Reload()
}

// Learned is told what is known of a machine's hardware now. If rules were judged by
// something else, [Site.Watch] reads the site again. It never waits.
func (s *Site) Learned(mac provision.MAC, found map[string]string) {
	by, ruled := s.current().judged[mac]
	if !ruled || (by == nil) == (found == nil) && maps.Equal(by, found) {
		return
	}
	select {
	case s.learned <- struct{}{}:
	default: // it is told already
	}
}

// judgedBy is by what the rules of profiles were judged, for each machine that has such.
func judgedBy(machines map[provision.MAC]machineFile) map[provision.MAC]map[string]string {
	by := make(map[provision.MAC]map[string]string)
	for mac, m := range machines {
		if m.spec.Rules != nil {
			by[mac] = m.spec.Rules.Found
		}
	}
	return by
}
