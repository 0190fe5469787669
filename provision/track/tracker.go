// Package track remembers what happens to machines, in a [store.Store]. The
// [Tracker] records events, folds them into each machine's state, and passes
// them on to subscribers. What changes the rights of an agent together with its
// machine's state is one transaction: see package tickets.
//
// Start reading at [Tracker.Record]. The rules are in package provision
// (provision.Fold, provision.Decide): what people order (Arm, OrderBoot, Confirm, Cancel) is an
// event here too, which they check in its transaction.
package track

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
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
	// maxAhead is how many waiting events may be kept while nothing can be written.
	maxAhead = 2 * maxPending
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
//
// Several servers may share the store, each with a Tracker. What decides is read,
// folded and written in one transaction. What is in memory follows what is
// written, whoever writes it, and is ahead of it only by this server's own events
// that still wait to be written.
type Tracker struct {
	store store.Store
	clock func() time.Time
	log   *slog.Logger
	known func(provision.MAC) bool
	slot  int
	key   []byte        // see Key
	kick  chan struct{} // there is something to write

	cards *cards
	// lanes divide the machines, so that several writes run at once.
	lanes    []lane
	unfollow func()

	// states are the machines' states, by their MACs, for those who only read.
	states sync.Map
	// restored says that the store was once restored from a backup, so that a
	// machine that is not in it may all the same have been installed.
	restored atomic.Bool
	// observed are events that wait for the lock.
	observed observed

	mu          sync.Mutex // guards the fields below; never held during a write. See lock.
	machines    map[provision.MAC]*machine
	waiting     int                        // events of all machines that wait to be written
	remembered  []remembered               // what machines remember, oldest first
	progressing map[provision.MAC]struct{} // machines whose progress this server was told
	strangers   int                        // of machines
	forgetSaid  time.Time                  // when the log last said that strangers were forgotten
	lastID      uint64
	lost        int       // events that Observe could not take
	lostSaid    time.Time // when the log last said so
	subscribers map[*subscriber]struct{}
	latest      latest
	watchers    []Watcher
}

// Options are the surroundings of a tracker.
type Options struct {
	Clock func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil is silent
	// Known says whether a machine is in the site. All others are strangers, of
	// whom less is remembered. If it is nil, every machine is known.
	Known func(provision.MAC) bool
	// Slot tells this server's events from those of others that share the store,
	// 0 to [Slots]-1. No two that run may have the same.
	Slot int
	// Key is the site's own secret, see [SiteKey].
	Key []byte
}

// NewTracker reads the states of all machines from the store, and follows it from
// then on, until [Tracker.Close] is called.
func NewTracker(s store.Store, o Options) (*Tracker, error) {
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
		store: s, clock: o.Clock, log: o.Log, known: o.Known, slot: o.Slot, key: o.Key,
		kick:        make(chan struct{}, 1),
		lanes:       newLanes(),
		cards:       newCards(),
		machines:    make(map[provision.MAC]*machine),
		progressing: make(map[provision.MAC]struct{}),
		subscribers: make(map[*subscriber]struct{}),
	}
	var err error
	if t.unfollow, err = s.Follow(context.Background(), t, stateBucket, eventBucket, decisionBucket, store.Announced); err != nil {
		return nil, fmt.Errorf("read the machines' states: %w", err)
	}
	return t, nil
}

// Close ends what NewTracker began. Events that wait are not written, see
// [Tracker.Run].
func (t *Tracker) Close() { t.unfollow() }

// Record records an event of a machine. It gives the event its ID, and the
// present time if it has none. If a durable event cannot be written, Record
// returns an error, and the event has not happened.
func (t *Tracker) Record(ctx context.Context, e provision.Event) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if e.Durable() {
		return t.recordDurable(ctx, e, nil, nil)
	}
	t.lock()
	full := t.recordSoon(e)
	t.unlock()
	if !full {
		return nil
	}
	// More is recorded than can be written, so each has to wait for its own.
	return t.flushMachine(ctx, e.MAC)
}

// RecordWith records a durable event together with other changes of the store:
// either all of it happens, or nothing. with makes these changes. If it returns
// an error, RecordWith returns that.
//
// allowed, if it is not nil, judges by the machine's state, as it is in that very
// transaction, whether the event may happen. If not, RecordWith returns its error.
func (t *Tracker) RecordWith(ctx context.Context, e provision.Event, allowed func(provision.State) error, with func(store.Tx) error) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if !e.Durable() {
		return fmt.Errorf("record %s event of %s with other changes: it is not durable, use Record", e.Kind, e.MAC)
	}
	return t.recordDurable(ctx, e, allowed, with)
}

// Observe records an event that need not be durable, and never waits for the
// store. It is for servers that answer packets, since anyone can send any number
// of them. It does not wait for others who record, either. While [maxPending] events
// wait to be written, Observe drops further ones, and [Tracker.Run] logs how many. It
// refuses a durable event.
func (t *Tracker) Observe(e provision.Event) error {
	if err := t.observes(e); err != nil {
		return err
	}
	if t.mu.TryLock() { // otherwise whoever has the lock takes it
		t.takeObserved()
		t.unlock()
	}
	return nil
}

// Note is an Observe that is in force when it returns. It waits for others who record,
// so it is for what is rare.
func (t *Tracker) Note(e provision.Event) error {
	if err := t.observes(e); err != nil {
		return err
	}
	t.lock()
	t.unlock()
	return nil
}

// observes lets an event wait for the lock.
func (t *Tracker) observes(e provision.Event) error {
	e, err := t.complete(e)
	if err != nil {
		return err
	}
	if e.Durable() {
		return fmt.Errorf("observe %s event of %s: it must be durable, use Record", e.Kind, e.MAC)
	}
	t.observed.put(e, t.known(e.MAC))
	return nil
}

// sayLost logs how many events Observe has dropped. It does so at most once in
// warnPause, except for the last time.
func (t *Tracker) sayLost(last bool) {
	t.lock()
	defer t.unlock()
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
	if !t.known(mac) {
		e = e.Brief() // first, so that strangers do not cost the time that long events take
	}
	e = e.Bounded()
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
	if e.Kind == provision.KindProgress {
		e.ID = t.takeID()
		t.fold(m, e)
		if t.store.Limits().Shared {
			t.progressing[e.MAC] = struct{}{}
		}
		t.publish(e)
		return false
	}
	if t.repeats(m, e) {
		return false
	}
	e.ID = t.takeID()
	t.wait(m, waiting{Event: e})
	t.remember(m, e)
	t.publish(e)
	return t.waiting >= maxPending
}

// State returns the state of a machine, and whether anything is known about it.
func (t *Tracker) State(mac provision.MAC) (provision.State, bool) {
	if s, known := t.states.Load(mac); known {
		return s.(*provision.State).Clone(), true
	}
	return t.unseen(mac), false
}

// Found are the attributes of a machine's hardware, as [provision.State.Found] has them.
// Do not write to them.
func (t *Tracker) Found(mac provision.MAC) map[string]string {
	if s, known := t.states.Load(mac); known {
		return s.(*provision.State).Found
	}
	return nil
}

// Stored returns the state of a machine as the store has it at this moment. Memory
// may be behind that for a moment, if another server wrote it.
func (t *Tracker) Stored(ctx context.Context, mac provision.MAC) (state provision.State, err error) {
	err = t.store.View(ctx, func(tx store.Tx) error {
		value, err := tx.Get(stateBucket, string(mac))
		state = t.readRecord(mac, value).State
		return err
	})
	return state, err
}

// States returns the states of all known machines, sorted by MAC.
func (t *Tracker) States() []provision.State {
	t.lock()
	defer t.unlock()
	states := make([]provision.State, 0, len(t.machines))
	for _, m := range t.machines {
		states = append(states, m.state.Clone())
	}
	slices.SortFunc(states, func(a, b provision.State) int { return cmp.Compare(a.MAC, b.MAC) })
	return states
}

// Arm lets the machine's next boot install its image. The spec is what the site
// says about the machine, or nil if it says nothing. If the machine could not be
// installed, the error is a [provision.ErrNotInstallable], and if it has a system that
// the order does not allow to overwrite, a [provision.ErrDiskNotEmpty].
func (t *Tracker) Arm(ctx context.Context, mac provision.MAC, spec *provision.Spec, o Order) error {
	if err := provision.CheckInstallable(mac, spec); err != nil {
		return err
	}
	e := provision.Event{
		MAC: mac, Kind: provision.KindArmed, By: o.By, Text: "install of " + spec.Image + " armed",
		Pin: &provision.Pin{Order: spec.Order(), Pack: o.Pack}, Wipe: o.Wipe, Confirm: o.Confirm || spec.Confirm,
	}
	switch {
	case o.Rollback:
		state, _ := t.State(mac)
		if state.Kept != nil {
			e.Rollback = state.Kept.ID
		}
		e.Text, e.Pin, e.Wipe = "roll-back armed", nil, false
	case o.Wipe:
		e.Text += ", whatever is on the disk"
	}
	return t.RecordWith(ctx, e, func(state provision.State) error {
		if err := state.CheckNotOrdered(); err != nil {
			return err
		}
		if o.Rollback {
			if err := provision.CheckRollback(spec, state); err != nil || state.Kept.ID == e.Rollback {
				return err
			}
			return fmt.Errorf("roll %s back: %w: it has another system since a moment ago; ask again", mac, provision.ErrNoOtherSlot)
		}
		if o.Wipe {
			return nil
		}
		return provision.CheckDisk(spec, state)
	}, o.With)
}

// Order is what a person says who arms an install.
type Order struct {
	By string // the person or program that asks
	// Wipe allows this one install to overwrite a disk that is not empty.
	Wipe bool
	// Rollback arms no install: the system in the machine's other slot is put on trial.
	Rollback bool
	// Confirm makes this one install wait before it writes, until a person has confirmed
	// what it will do. The machine's file may say so for all.
	Confirm bool
	// Pack is the digest of the image's pack, as far as it is known.
	Pack string
	// With makes further changes of the store in the same transaction, and may refuse it;
	// nil makes none.
	With func(store.Tx) error
}

// Disarm undoes [Tracker.Arm]. If by names a person, the machine stays disarmed
// until it is armed again, whatever its file says.
func (t *Tracker) Disarm(ctx context.Context, mac provision.MAC, by, reason string) error {
	return t.Record(ctx, provision.Event{MAC: mac, Kind: provision.KindDisarmed, By: by, Text: "install disarmed", Reason: reason})
}

// unseen is the state of a machine of which nothing is known.
func (t *Tracker) unseen(mac provision.MAC) provision.State {
	return provision.State{MAC: mac, Stage: provision.StageNew, Restored: t.restored.Load()}
}
