// Package roster keeps all machines in the order in which people see them, and
// counts them. It has the machines that the site describes and those that were
// seen, in one list of all and one for each stage and group, so that a page of any
// list costs the same with ten machines and with ten thousand.
//
// Start reading at [Roster.Page]. The lists are kept up to date as events and new
// readings of the site come, and never made for a request.
package roster

import (
	"slices"
	"sync"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/track"
)

// List names a list of machines: [All], a stage, or a group.
type List string

// The lists that are no stage.
const (
	All        List = ""
	Installing List = "installing" // an agent installs it now
	Waiting    List = "waiting"    // its next boot installs
	Strangers  List = "strangers"  // no file of the site describes it
	Outdated   List = "outdated"   // it has another system than it shall have
	Quiet      List = "quiet"      // it was not heard for longer than its stage takes
)

// Stages returns all stages, each of which is the name of a list.
func Stages() []provision.Stage {
	return []provision.Stage{
		provision.StageNew, provision.StageStranger, provision.StageInspect, provision.StageFirmware, provision.StageLoader, provision.StageKernel, provision.StageBooted, provision.StageLive, provision.StageRescue,
		provision.StageAgent, provision.StageConfirm, provision.StagePartition, provision.StageStream, provision.StageConfigure, provision.StageVerify,
		provision.StageBootable, provision.StageHandover, provision.StageInstalled, provision.StageRunning, provision.StageLocal, provision.StageFailed,
	}
}

// Lists returns the names of all lists but [All].
func Lists() []List {
	lists := []List{Installing, Waiting, Strangers, Outdated, Quiet}
	for _, stage := range Stages() {
		lists = append(lists, List(stage))
	}
	return lists
}

// Roster is all machines. Several goroutines may use it at the same time.
//
// The tracker's lock is taken before the roster's.
type Roster struct {
	site    *site.Site
	tracker *track.Tracker
	pack    func(*provision.Spec) string

	mu       sync.Mutex
	machines map[provision.MAC]*machine
	lists    map[List]list
	bySeen   bool                                 // a list is kept in the order of the latest events
	views    map[provision.MAC]map[*View]struct{} // those that show a machine
}

// machine is what the roster has of one machine, and stays the same as long as that is
// in the roster. The state is here, too, so that a
// request never waits for the tracker, which is busy when many machines report.
type machine struct {
	entry *entry
	state *provision.State // the tracker's, which is never changed
	// outdated says in which ways it has another system than it shall have.
	outdated []string
}

// New makes the roster of a site and a tracker, and follows both for as long as
// they are used. pack returns the digest of the pack of a machine's image, or "" as
// long as it is not known; it is asked for machines with an image, and must be quick. If it is nil, none is known.
func New(s *site.Site, t *track.Tracker, pack func(*provision.Spec) string) *Roster {
	if pack == nil {
		pack = func(*provision.Spec) string { return "" }
	}
	r := &Roster{
		site: s, tracker: t, pack: pack,
		machines: make(map[provision.MAC]*machine),
		lists:    make(map[List]list),
		views:    make(map[provision.MAC]map[*View]struct{}),
	}
	for _, name := range append(Lists(), All) {
		r.lists[name] = list{ByName: newSorted(ByName)}
	}
	t.Watch(r.update)
	s.Index(r.renew)
	r.renew()
	return r
}

// renew looks at all machines again, after the site was read. It takes the lock for
// one machine at a time, so that nobody waits for all of them.
func (r *Roster) renew() {
	for _, mac := range r.undescribed() {
		r.tracker.Tell(mac)
	}
	for _, spec := range r.site.Specs() {
		r.tracker.Tell(spec.MAC)
	}
}

// ImageChanged looks again at the machines of an image, since its pack has changed.
func (r *Roster) ImageChanged(image string) {
	for _, mac := range r.site.ByImage(image) {
		r.tracker.Tell(mac)
	}
}

// Outdated says in which ways a machine has another system than it shall have.
func (r *Roster) Outdated(mac provision.MAC) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[mac]; m != nil {
		return m.outdated
	}
	return nil
}

func (r *Roster) compare(spec *provision.Spec, state provision.State) []string {
	if spec == nil {
		return nil
	}
	has := state.Has
	if state.Live != nil {
		if has = state.Live; spec.Boot == nil || spec.Boot.Kind != provision.BootLive {
			return nil // it was ordered once
		}
	}
	return provision.Outdated(has, spec.System(r.Pack(spec), r.tracker.Key()))
}

// Pack is the digest of the pack of a machine's image, or "" if it has no image, or its
// pack is not known yet.
func (r *Roster) Pack(spec *provision.Spec) string {
	if spec == nil || spec.Image == "" {
		return ""
	}
	return r.pack(spec)
}

// undescribed are the machines in the roster that the site does not describe now.
// Those that it described before are among them.
func (r *Roster) undescribed() []provision.MAC {
	r.mu.Lock()
	defer r.mu.Unlock()
	var macs []provision.MAC
	for mac := range r.machines {
		if !r.site.Has(mac) {
			macs = append(macs, mac)
		}
	}
	return macs
}

// update puts a machine where its state and its file place it. What was seen as a
// machine of its own, before a file listed it as a card of another one, is no machine.
func (r *Roster) update(state *provision.State, known bool) {
	known = known && r.tracker.Machine(r.site, state.MAC) == state.MAC
	var spec *provision.Spec
	if found, described := r.site.Spec(state.MAC); described {
		spec = &found
	}
	outdated := r.compare(spec, *state)
	r.mu.Lock()
	defer r.mu.Unlock()
	for v := range r.views[state.MAC] {
		v.stale[state.MAC] = struct{}{}
	}
	m := r.machines[state.MAC]
	if !known && spec == nil {
		if m != nil {
			r.move(m, nil)
			delete(r.machines, state.MAC)
		}
		return
	}
	if m == nil {
		m = &machine{}
		r.machines[state.MAC] = m
	}
	m.state, m.outdated = state, outdated
	r.move(m, newEntry(spec, *state, outdated != nil))
}

// AppendStates appends the states of some machines, in the same order. They are shared: do
// not write to them.
func (r *Roster) AppendStates(states []*provision.State, macs []provision.MAC) []*provision.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, mac := range macs {
		if m := r.machines[mac]; m != nil {
			states = append(states, m.state)
		} else { // it went away after the page was made
			states = append(states, &provision.State{MAC: mac, Stage: provision.StageNew})
		}
	}
	return states
}

// move gives a machine its next entry, and a place in the lists that goes with that. It
// is nil for a machine that leaves the roster.
func (r *Roster) move(m *machine, next *entry) {
	old := m.entry
	m.entry = next
	if next != nil {
		next.index(old)
	}
	if old != nil && next != nil && old.place == next.place && old.alike(next) && !r.bySeen {
		return
	}
	var from, to []List
	if old != nil {
		from = old.place.lists()
	}
	if next != nil {
		to = next.place.lists()
	}
	for _, name := range from {
		if !slices.Contains(to, name) {
			r.lists[name].put(m, old, nil)
		}
	}
	for _, name := range to {
		if slices.Contains(from, name) {
			r.lists[name].put(m, old, next)
		} else {
			r.lists[name].put(m, nil, next)
		}
	}
}

// Counts returns how many machines are in each list that is not empty.
func (r *Roster) Counts() map[List]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[List]int)
	for name, l := range r.lists {
		if n := l[ByName].tree.Len(); n > 0 {
			counts[name] = n
		}
	}
	return counts
}
