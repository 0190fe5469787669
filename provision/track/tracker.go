// Package track remembers what happens to machines, in a [store.Store]. The
// [Tracker] records events, folds them into each machine's state, and passes
// them on to subscribers. [Tickets] are the rights of agents: a token lets a
// machine claim its install once, and the session that it gets for that lets it
// go on.
//
// Start reading at [Tracker.Record]. The rules are in package provision
// (provision.Fold, provision.Decide); this package only remembers.
package track

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// Bounds of what a [Tracker] keeps, and of how long it puts off writing.
const (
	// maxStrangers bounds how many machines are remembered that are not in the
	// site, since anyone on the network can make up hardware addresses.
	maxStrangers = 4096
	// maxHistory is how many events of a machine are kept. There may be
	// trimSlack more before the oldest are deleted, all at once. A stranger has
	// fewer, and its events are shorter.
	maxHistory      = 2000
	trimSlack       = 200
	strangerHistory = 20
	strangerSlack   = 10
	// maxDecisions is how many durable events of a machine are kept.
	maxDecisions = 500
	// maxPending bounds the events that wait to be written. Those of strangers
	// may take half of it.
	maxPending = 4096
	// maxRecent is how many of a machine's latest events a new one is compared
	// with. If it is the same as one of them and comes within repeatTime of
	// it, it only raises that one's count.
	maxRecent  = 8
	repeatTime = 10 * time.Second
	// writeDelay is how long events are collected for one write, retryDelay is
	// the pause after a write that failed.
	writeDelay = 200 * time.Millisecond
	retryDelay = 2 * time.Second
	// warnPause is how often the log says that events were lost, or strangers
	// forgotten.
	warnPause = time.Minute
)

// Tracker records what happens to machines, and knows the state of each. Events
// that decide about disks (armings, claims, ends of installs) are durable when
// Record returns. [Tracker.Run] writes all others a moment later, many at once.
// Several goroutines may use a Tracker at the same time.
type Tracker struct {
	store store.Store
	clock func() time.Time
	log   *slog.Logger
	known func(provision.MAC) bool
	// restored says that the store was once restored from a backup, so that a
	// machine that is not in it may all the same have been installed.
	restored bool
	kick     chan struct{} // there is something to write

	writing sync.Mutex // held during each write to the store, so that writes keep their order

	mu          sync.Mutex // guards the fields below; never held during a write
	machines    map[provision.MAC]*machine
	strangers   int       // of machines
	forgetSaid  time.Time // when the log last said that strangers were forgotten
	nextID      uint64
	batch       batch
	lost        int       // events that Observe could not take
	lostSaid    time.Time // when the log last said so
	subscribers map[*subscriber]struct{}
	latest      latest
}

// machine is what the tracker has in memory about one machine.
type machine struct {
	state    provision.State
	kept     kept              // including those that wait to be written
	recent   []provision.Event // the latest few, to find repetitions
	stranger bool
}

// Options are the surroundings of a tracker.
type Options struct {
	Clock func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil is silent
	// Known says whether a machine is in the site. All others are strangers, of
	// whom less is remembered. If it is nil, every machine is known.
	Known func(provision.MAC) bool
}

// NewTracker reads the states of all machines from the store.
func NewTracker(store store.Store, o Options) (*Tracker, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Known == nil {
		o.Known = func(provision.MAC) bool { return true }
	}
	t := &Tracker{
		store: store, clock: o.Clock, log: o.Log, known: o.Known,
		kick:        make(chan struct{}, 1),
		machines:    make(map[provision.MAC]*machine),
		nextID:      1,
		subscribers: make(map[*subscriber]struct{}),
	}
	if err := store.View(context.Background(), t.load); err != nil {
		return nil, fmt.Errorf("read the machines' states: %w", err)
	}
	t.latest.floor = t.nextID - 1
	return t, nil
}

// Record records an event of a machine. It gives the event its ID, and the
// present time if it has none. If a durable event cannot be written, Record
// returns an error, and the event has not happened.
func (t *Tracker) Record(ctx context.Context, e provision.Event) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if e.Durable() {
		return t.recordDurable(ctx, just(e), nil)
	}
	t.mu.Lock()
	full := t.recordSoon(e)
	t.mu.Unlock()
	if !full {
		return nil
	}
	return t.flush(ctx)
}

// RecordWith records a durable event together with other changes of the store:
// either all of it happens, or nothing. with makes these changes. If it returns
// an error, RecordWith returns that.
func (t *Tracker) RecordWith(ctx context.Context, e provision.Event, with func(store.Tx) error) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if !e.Durable() {
		return fmt.Errorf("record %s event of %s with other changes: it is not durable, use Record", e.Kind, e.MAC)
	}
	return t.recordDurable(ctx, just(e), with)
}

// Observe records an event that need not be durable, and never waits for the
// store. It is for servers that answer packets, since anyone can send any number
// of them. While [maxPending] events wait to be written, Observe drops further
// ones, and [Tracker.Run] logs how many. It refuses a durable event.
func (t *Tracker) Observe(e provision.Event) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if e.Durable() {
		return fmt.Errorf("observe %s event of %s: it must be durable, use Record", e.Kind, e.MAC)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	room := maxPending
	if !t.known(e.MAC) {
		room /= 2
	}
	if len(t.batch.events) >= room {
		t.lost++
		return nil
	}
	_ = t.recordSoon(e) // Run writes it, so there is no need to flush here
	return nil
}

// sayLost logs how many events Observe has dropped. It does so at most once in
// warnPause, except for the last time.
func (t *Tracker) sayLost(last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	if t.lost == 0 || !last && now.Sub(t.lostSaid) < warnPause {
		return
	}
	t.log.Warn("too many packets at once: some events are missing in the machines' traces", "lost", t.lost)
	t.lost, t.lostSaid = 0, now
}

// complete checks an event and fills in its time.
func (t *Tracker) complete(e provision.Event) (provision.Event, error) {
	mac, err := provision.ParseMAC(string(e.MAC))
	if err != nil {
		return e, fmt.Errorf("record %s event: %w", e.Kind, err)
	}
	if e.Kind == "" {
		return e, fmt.Errorf("record event of %s: it has no kind", mac)
	}
	if e = e.Bounded(); !t.known(mac) {
		e = e.Brief()
	}
	e.MAC, e.Count = mac, 0
	if e.Time.IsZero() {
		e.Time = t.clock()
	}
	return e, nil
}

// recordSoon keeps an event in memory, for Run to write. It returns true if so
// many events wait that the caller should write them first. The caller holds mu.
func (t *Tracker) recordSoon(e provision.Event) (full bool) {
	m := t.machine(e.MAC)
	if t.repeats(m, e) {
		return false
	}
	e.ID = t.takeID()
	m.state = provision.Fold(m.state, e)
	t.publish(e)
	if e.Kind == provision.KindProgress {
		return false
	}
	m.remember(e)
	t.batch.add(e)
	t.wake()
	return len(t.batch.events) >= maxPending
}

// repeats says whether an event is the same as one a moment ago. If so, it raises
// that one's count.
func (t *Tracker) repeats(m *machine, e provision.Event) bool {
	if e.Kind == provision.KindProgress || e.Stage != "" && e.Stage != m.state.Stage {
		return false
	}
	for i := range m.recent {
		first := &m.recent[i]
		if age := e.Time.Sub(first.Time); !e.SameAs(*first) || age >= repeatTime || age < 0 {
			continue
		}
		first.Count = max(first.Count, 1) + 1
		m.state = provision.Fold(m.state, e)
		t.batch.add(*first)
		t.wake()
		return true
	}
	return false
}

func (m *machine) remember(e provision.Event) {
	if e.Durable() {
		m.kept.Decisions++
		return // a durable event is never counted as a repetition
	}
	m.kept.Events++
	if len(m.recent) >= maxRecent {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, e)
}

// machine returns the entry of a machine, and makes it if there is none.
func (t *Tracker) machine(mac provision.MAC) *machine {
	m, known := t.machines[mac]
	if known {
		return m
	}
	m = &machine{state: t.unseen(mac), stranger: !t.known(mac)}
	if m.stranger {
		if t.strangers >= maxStrangers {
			t.forgetStrangers()
		}
		t.strangers++
	}
	t.machines[mac] = m
	return m
}

func (t *Tracker) takeID() uint64 {
	id := t.nextID
	t.nextID++
	return id
}

// State returns the state of a machine, and whether anything is known about it.
func (t *Tracker) State(mac provision.MAC) (provision.State, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, known := t.machines[mac]
	if !known {
		return t.unseen(mac), false
	}
	return m.state.Clone(), true
}

// States returns the states of all known machines, sorted by MAC.
func (t *Tracker) States() []provision.State {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make([]provision.State, 0, len(t.machines))
	for _, m := range t.machines {
		states = append(states, m.state.Clone())
	}
	slices.SortFunc(states, func(a, b provision.State) int { return cmp.Compare(a.MAC, b.MAC) })
	return states
}

// Arm lets the machine's next boot install its image. The spec is what the site
// says about the machine, or nil if it says nothing. If the machine could not be
// installed, the error is a [provision.ErrNotInstallable]. By is the person or
// program that asks.
func (t *Tracker) Arm(ctx context.Context, mac provision.MAC, spec *provision.Spec, by string) error {
	if err := provision.CheckInstallable(mac, spec); err != nil {
		return err
	}
	return t.Record(ctx, provision.Event{MAC: mac, Kind: provision.KindArmed, By: by, Text: "install of " + spec.Image + " armed"})
}

// Disarm undoes [Tracker.Arm]. If by names a person, the machine stays disarmed
// until it is armed again, whatever its file says.
func (t *Tracker) Disarm(ctx context.Context, mac provision.MAC, by, reason string) error {
	return t.Record(ctx, provision.Event{MAC: mac, Kind: provision.KindDisarmed, By: by, Text: "install disarmed", Reason: reason})
}

// unseen is the state of a machine of which nothing is known.
func (t *Tracker) unseen(mac provision.MAC) provision.State {
	return provision.State{MAC: mac, Stage: provision.StageNew, Restored: t.restored}
}
