// Package conductor carries roll-outs on: it arms the machines whose turn has come, has them
// switched on, and notes what became of them. It learns that from the tracker, which tells
// of each change of a machine: what one change costs does not depend on how many machines
// or roll-outs there are.
//
// Of several servers one carries a roll-out on, which the book decides. Each step is made
// in one transaction with what it is about, and whatever a server did not come to, the next
// one does; so it may end at any instant.
//
// Start reading at [Conductor.Run].
package conductor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/track"
)

// Options are what a conductor needs. All must be set, but for Clock.
type Options struct {
	Book    *book.Book
	Tracker *track.Tracker
	// Self is the ID of this server, see members.Member.
	Self string
	// Alive says whether a server is alive, as far as this one knows, and ServersChanged is
	// closed when others come or go.
	Alive          func(id string) bool
	ServersChanged func() <-chan struct{}
	// Spec is what the site says about a machine, or nil. Refusal says why its install
	// cannot work, and Pack is the digest of its image's pack, or "" if that is not known.
	Spec    func(provision.MAC) *provision.Spec
	Refusal func(provision.MAC) error
	Pack    func(context.Context, *provision.Spec) string
	// Switch has a machine boot from the network now, and returns when that is done.
	Switch func(ctx context.Context, spec *provision.Spec, by string) error
	Log    *slog.Logger
	Clock  func() time.Time // nil means time.Now
}

// Conductor carries roll-outs on. It is made by [New].
type Conductor struct {
	Options
	news chan struct{}
	done sync.WaitGroup // of machines that are being switched

	mu        sync.Mutex
	changed   map[provision.MAC]struct{} // machines that changed, and are in a roll-out
	switching map[provision.MAC]struct{} // machines that are being switched
	turns     map[provision.MAC]turn     // those of which it is not noted yet

	// These belong to the goroutine of Run.
	ours   map[string]time.Time // roll-outs that this server carries on, and since when
	failed map[string]bool      // roll-outs of which the log says that they wait
}

// retryAfter is how soon what could not be written is tried again.
const retryAfter = 2 * time.Second

// minLate is the shortest pause until a machine is looked at that is late: what was noted of
// it may not have come back yet.
const minLate = time.Second

// New makes a conductor. From now on it is told of machines.
func New(o Options) *Conductor {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Conductor{
		Options: o, news: make(chan struct{}, 1), changed: make(map[provision.MAC]struct{}), switching: make(map[provision.MAC]struct{}), turns: make(map[provision.MAC]turn),
		ours: make(map[string]time.Time), failed: make(map[string]bool),
	}
}

// Run carries roll-outs on until ctx ends.
func (c *Conductor) Run(ctx context.Context) error {
	defer c.done.Wait()
	c.Tracker.Watch(c.saw)
	for {
		servers := c.ServersChanged()
		var again <-chan time.Time
		if !c.round(ctx) {
			again = time.After(retryAfter)
		} else if next := c.nextLate(); !next.IsZero() {
			again = time.After(max(next.Sub(c.Clock()), minLate))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.news:
		case <-c.Book.Changed():
		case <-servers:
		case <-again:
		}
	}
}

// saw is a [track.Watcher].
func (c *Conductor) saw(state *provision.State, _ bool) {
	if c.Book.Of(state.MAC) != nil {
		c.look(state.MAC)
	}
}

// look has the next round look at machines.
func (c *Conductor) look(machines ...provision.MAC) {
	c.mu.Lock()
	for _, mac := range machines {
		c.changed[mac] = struct{}{}
	}
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// round does all that is to be done now. It returns false if something could not be written.
func (c *Conductor) round(ctx context.Context) (ok bool) {
	ok = true
	ours := make(map[string]time.Time)
	for _, name := range c.Book.Unfinished() {
		mine, err := c.claim(ctx, name)
		ok = c.went(name, err) && ok
		if began, was := c.ours[name]; mine && was {
			ours[name] = began
		} else if mine {
			ours[name] = c.Clock()
		}
	}
	c.ours = ours
	c.lookAtLate()
	for _, mac := range c.takeChanged() {
		for _, name := range c.Book.Of(mac) {
			if _, mine := c.ours[name]; mine && !c.went(name, c.judge(ctx, name, mac)) {
				c.look(mac)
				ok = false
			}
		}
	}
	for name := range c.ours {
		ok = c.went(name, c.advance(ctx, name)) && ok
	}
	return ok || ctx.Err() != nil
}

// went logs what went wrong, once until it is well again. What another server did meanwhile
// is no error.
func (c *Conductor) went(name string, err error) (well bool) {
	if err == nil || errors.Is(err, book.ErrMoved) || errors.Is(err, book.ErrUnknown) {
		delete(c.failed, name)
		return true
	}
	if !c.failed[name] {
		c.failed[name] = true
		c.Log.Error("a roll-out waits, and is tried again", "rollout", name, "error", err)
	}
	return false
}

// claim says whether this server carries a roll-out on. When it begins to do so, it looks at
// all machines that are under way.
func (c *Conductor) claim(ctx context.Context, name string) (mine bool, err error) {
	carrier := ""
	c.Book.Look(name, func(r *rollout.Rollout) { carrier = r.Carrier })
	_, was := c.ours[name]
	switch {
	case was && carrier == c.Self:
		return true, nil
	case carrier != c.Self && carrier != "" && c.Alive(carrier):
		return false, nil
	}
	if mine, err = c.Book.Claim(ctx, name, c.Self); !mine || err != nil {
		return false, err
	}
	if carrier != c.Self {
		c.Log.Info("this server carries a roll-out on, since the one that did is gone", "rollout", name)
	}
	var under []provision.MAC
	c.Book.Look(name, func(r *rollout.Rollout) { under = r.UnderWay() })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, mac := range under {
		c.changed[mac] = struct{}{}
	}
	return true, nil
}

// lookAtLate has the machines looked at that should have booted by now.
func (c *Conductor) lookAtLate() {
	now := c.Clock()
	c.unbooted(func(mac provision.MAC, late time.Time) {
		if !late.After(now) {
			c.mu.Lock()
			c.changed[mac] = struct{}{}
			c.mu.Unlock()
		}
	})
}

// nextLate is when the next machine will have taken too long to boot; zero if none can.
func (c *Conductor) nextLate() (next time.Time) {
	c.unbooted(func(_ provision.MAC, late time.Time) {
		if next.IsZero() || late.Before(next) {
			next = late
		}
	})
	return next
}

// unbooted visits the machines of this server's roll-outs that should boot, and until when.
func (c *Conductor) unbooted(visit func(mac provision.MAC, late time.Time)) {
	for name := range c.ours {
		var machines map[provision.MAC]time.Time
		var order rollout.Order
		c.Book.Look(name, func(r *rollout.Rollout) { machines, order = r.Unbooted(), r.Order })
		for mac, since := range machines {
			visit(mac, c.late(name, order, since))
		}
	}
}

// late is when a machine that should boot since a time has taken too long. It has all its
// time from when this server began to carry the roll-out on: before that nobody may have
// been there to answer it.
func (c *Conductor) late(name string, o rollout.Order, since time.Time) time.Time {
	if began := c.ours[name]; since.Before(began) {
		since = began
	}
	return since.Add(o.BootWithin)
}

func (c *Conductor) takeChanged() (machines []provision.MAC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mac := range c.changed {
		machines = append(machines, mac)
	}
	clear(c.changed)
	return machines
}

// judge notes what became of a machine, and has it switched on if that is still to be done.
func (c *Conductor) judge(ctx context.Context, name string, mac provision.MAC) error {
	var before rollout.Step
	by := ""
	var order rollout.Order
	c.Book.Look(name, func(r *rollout.Rollout) { before, by, order = r.Step(mac), r.By, r.Order })
	spec := c.Spec(mac)
	state, _ := c.Tracker.State(mac)
	step := rollout.Judge(before, spec, state, c.Clock())
	if !step.Awaited.IsZero() && !c.late(name, order, step.Awaited).After(c.Clock()) {
		step = order.Late(mac, step, c.Clock())
	}
	if step != before {
		if err := c.Book.Note(ctx, name, c.Self, mac, before.Phase, step); err != nil {
			return err
		}
		if step.Phase == rollout.Bad {
			c.Log.Warn("a machine of a roll-out is bad", "rollout", name, "machine", mac, "reason", step.Why)
		}
	}
	if step.Switch {
		c.switchOn(ctx, name, spec, mac, by, step)
	}
	return nil
}
