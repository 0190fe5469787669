// Package desk switches machines as people order it: one order for each controller at
// a time, machines one after the other where a breaker has to hold, each order within
// bounds, and all of it in the machines' traces.
package desk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/power"
)

// Bounds.
const (
	// maxOpen is how many orders may wait or be carried out.
	maxOpen = 1024
	// maxKept is how many orders that ended can still be asked for.
	maxKept = 1024
	// maxCalls is how many controllers are talked to at once.
	maxCalls = 16
	// callTime is how long one call of a controller may take. Some take 20 s to begin.
	callTime = time.Minute
	// ShutdownTime is how long an operating system may take to shut down.
	ShutdownTime = 5 * time.Minute
	// lookAgain is how often a controller is asked whether that has happened.
	lookAgain = 2 * time.Second
	// stopTime is how long calls may go on when the server stops.
	stopTime = 2 * time.Second
)

// Order is what a person wants done to a machine.
type Order struct {
	// Action is one of [power.Actions].
	Action power.Action `json:"action"`
	// Network makes the machine's next boot one from the network.
	Network bool `json:"network,omitempty"`
	// Force switches off at once. Otherwise the operating system shuts down first.
	Force bool `json:"force,omitempty"`
	// By is the person or program that asks.
	By string `json:"by"`
}

// String returns the order in words, "power cycle with a boot from the network".
func (o Order) String() string {
	text := "power " + string(o.Action)
	if o.Force {
		text += " at once"
	}
	if o.Network {
		text += " with a boot from the network"
	}
	return text
}

// Check refuses an order that means nothing.
func (o Order) Check() error {
	if _, err := power.ParseAction(string(o.Action)); err != nil {
		return err
	}
	if o.Network && o.Action == power.Off {
		return errors.New("a machine that is switched off does not boot: leave out the boot from the network, or order on or cycle")
	}
	if o.Force && o.Action != power.Off {
		return fmt.Errorf("%s is at once always: only off can be forced", o.Action)
	}
	return nil
}

// Job is an order, and what became of it.
type Job struct {
	ID  uint64        `json:"id"`
	MAC provision.MAC `json:"mac"`
	Order
	// Done says that it ended: well if Error is "". Text says what was done.
	Done  bool   `json:"done"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
}

// Options are what a desk needs. All must be set.
type Options struct {
	// Open makes the controller of a machine.
	Open func(*provision.Spec) (power.Controller, error)
	// OpenConsole makes the way to a machine's console.
	OpenConsole func(*provision.Spec) (power.Console, error)
	// Record writes an event into a machine's trace.
	Record func(context.Context, provision.Event)
	// Stagger returns the time between two machines that are switched on.
	Stagger func() time.Duration
}

// Desk carries out orders. It may be used by several goroutines.
type Desk struct {
	Options
	calls    chan struct{} // has an element for each call
	consoles chan struct{} // has an element for each console that is open
	stopping chan struct{}
	base     context.Context // of all calls
	cancel   context.CancelFunc
	orders   sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	last    uint64
	open    int
	jobs    map[uint64]*entry
	ended   []uint64 // the jobs that ended, the oldest first
	lanes   map[string]*lane
	nextOn  time.Time // when the next machine may be switched on
}

// entry is a job, with the channel that is closed when it ends.
type entry struct {
	Job
	end chan struct{}
}

// lane lets one order at a time to a controller.
type lane struct {
	turn  chan struct{}
	users int
}

// New makes a desk.
func New(o Options) *Desk {
	base, cancel := context.WithCancel(context.Background())
	return &Desk{
		Options: o, calls: make(chan struct{}, maxCalls), consoles: make(chan struct{}, maxConsoles), stopping: make(chan struct{}), base: base, cancel: cancel,
		jobs: make(map[uint64]*entry), lanes: make(map[string]*lane),
	}
}

// Run waits until ctx ends, and then for the orders: those that wait end at once, with
// an error.
func (d *Desk) Run(ctx context.Context) error {
	<-ctx.Done()
	d.mu.Lock()
	if !d.stopped {
		d.stopped = true
		close(d.stopping)
	}
	d.mu.Unlock()
	late := time.AfterFunc(stopTime, d.cancel)
	defer late.Stop()
	d.orders.Wait()
	d.cancel()
	return nil
}

// ErrStopping is why an order was not carried out when the server stopped.
var ErrStopping = errors.New("the server is being stopped, and nothing was done: order it again when it runs")

// ErrFull is why an order was refused.
var ErrFull = fmt.Errorf("%d power orders wait already: try again when some are done", maxOpen)

// Order takes an order, and carries it out in the background.
func (d *Desk) Order(spec *provision.Spec, o Order) (Job, error) {
	if err := o.Check(); err != nil {
		return Job{}, err
	}
	if _, err := d.Open(spec); err != nil { // told to whoever asks, and no event
		return Job{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopped:
		return Job{}, ErrStopping
	case d.open >= maxOpen:
		return Job{}, ErrFull
	}
	d.open++
	d.last++
	e := &entry{Job: Job{ID: d.last, MAC: spec.MAC, Order: o}, end: make(chan struct{})}
	d.jobs[e.ID] = e
	copied := *spec
	d.orders.Go(func() { d.carryOut(e, &copied) })
	return e.Job, nil
}

// Wait returns a job when it has ended, or when ctx has. It returns false if there is
// no such job of that machine.
func (d *Desk) Wait(ctx context.Context, mac provision.MAC, id uint64) (Job, bool) {
	d.mu.Lock()
	e, ok := d.jobs[id]
	d.mu.Unlock()
	if !ok || e.MAC != mac {
		return Job{}, false
	}
	select {
	case <-e.end:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.Job, true
}

// State asks a machine's controller whether it has power. It waits for orders to the
// same controller.
func (d *Desk) State(ctx context.Context, spec *provision.Spec) (power.State, error) {
	c, err := d.Open(spec)
	if err != nil {
		return power.Unknown, err
	}
	leave, err := d.enter(ctx, spec.At())
	if err != nil {
		return power.Unknown, fmt.Errorf("ask for the power state of %s: another order to its controller is not done yet: %w", spec.MAC, err)
	}
	defer leave()
	return d.state(ctx, c)
}

// carryOut does a job, and records it.
func (d *Desk) carryOut(e *entry, spec *provision.Spec) {
	o := e.Order
	d.Record(d.base, provision.Event{MAC: e.MAC, Kind: provision.KindPower, Text: o.String() + " ordered", By: o.By})
	text, err := d.do(spec, o)
	event := provision.Event{MAC: e.MAC, Kind: provision.KindPower, Text: text, By: o.By}
	if err != nil {
		event.Text, event.Reason = o.String()+" failed", err.Error()
	}
	d.Record(context.WithoutCancel(d.base), event)

	d.mu.Lock()
	defer d.mu.Unlock()
	e.Done, e.Text = true, text
	if err != nil {
		e.Error = err.Error()
	}
	close(e.end)
	d.open--
	if d.ended = append(d.ended, e.ID); len(d.ended) > maxKept {
		delete(d.jobs, d.ended[0])
		d.ended = d.ended[1:]
	}
}

// do carries out an order, and says what was done.
func (d *Desk) do(spec *provision.Spec, o Order) (string, error) {
	waiting, stop := context.WithCancel(d.base)
	defer stop()
	go func() {
		select {
		case <-d.stopping:
			stop()
		case <-waiting.Done():
		}
	}()
	leave, err := d.enter(waiting, spec.At())
	if err != nil {
		return "", ErrStopping
	}
	defer leave()
	c, err := d.Open(spec) // its secrets may have changed
	if err != nil {
		return "", err
	}
	state, err := d.state(d.base, c)
	if err != nil {
		return "", err
	}
	switch action := o.Action; {
	case action == power.Off && state == power.IsOff:
		return "is off already", nil
	case action == power.Off && !o.Force:
		return d.shutDown(waiting, c, state)
	case action == power.On && state == power.IsOn && o.Network:
		return "", errors.New("it is on already: order cycle or reset to have it boot from the network")
	case action == power.On && state == power.IsOn:
		return "is on already", nil
	case action == power.Reset && state == power.IsOff:
		return "", errors.New("it is off, and only what is on can be reset: order on")
	case action == power.Cycle && state == power.IsOff:
		return d.carry(waiting, c, power.On, o.Network)
	default:
		return d.carry(waiting, c, action, o.Network)
	}
}

// carry has the controller do an action, after the network was set for the next boot.
// What draws a starting current waits for its turn.
func (d *Desk) carry(waiting context.Context, c power.Controller, action power.Action, network bool) (string, error) {
	if action == power.On || action == power.Cycle {
		if err := d.waitToSwitchOn(waiting); err != nil {
			return "", ErrStopping
		}
	}
	if network { // some forget it after a minute, so it comes last
		if err := d.call(d.base, func(ctx context.Context) error { return c.Do(ctx, power.BootNetwork) }); err != nil {
			return "", fmt.Errorf("have it boot from the network: %w", err)
		}
	}
	if err := d.call(d.base, func(ctx context.Context) error { return c.Do(ctx, action) }); err != nil {
		return "", err
	}
	text := map[power.Action]string{power.On: "is switched on", power.Off: "is switched off", power.Cycle: "is switched off and on again", power.Reset: "is reset"}[action]
	if network {
		text += ", and boots from the network"
	}
	return text, nil
}

// shutDown asks the operating system to shut down, and waits until it has.
func (d *Desk) shutDown(waiting context.Context, c power.Controller, state power.State) (string, error) {
	if err := d.call(d.base, func(ctx context.Context) error { return c.Do(ctx, power.Shutdown) }); err != nil {
		return "", err
	}
	if state == power.Unknown {
		return "is asked to shut down; its controller does not tell whether it has", nil
	}
	limit, cancel := context.WithTimeout(waiting, ShutdownTime)
	defer cancel()
	var problem error
	for {
		if pause.For(limit, lookAgain) != nil {
			break
		}
		state, err := d.state(d.base, c)
		if err == nil && state == power.IsOff {
			return "is shut down, and off", nil
		}
		problem = err
	}
	if waiting.Err() != nil {
		return "", errors.New("its system was asked to shut down, and the server stopped before that was done")
	}
	err := fmt.Errorf("its system was asked to shut down, and %s later it is still on: look at its console, or switch it off with --force", ShutdownTime)
	if problem != nil {
		err = fmt.Errorf("%w (its controller: %w)", err, problem)
	}
	return "", err
}

// waitToSwitchOn waits until another machine may be switched on.
func (d *Desk) waitToSwitchOn(ctx context.Context) error {
	d.mu.Lock()
	now := time.Now()
	at := now
	if d.nextOn.After(now) {
		at = d.nextOn
	}
	d.nextOn = at.Add(d.Stagger())
	d.mu.Unlock()
	return pause.For(ctx, at.Sub(now))
}

func (d *Desk) state(ctx context.Context, c power.Controller) (state power.State, err error) {
	err = d.call(ctx, func(ctx context.Context) error {
		state, err = c.State(ctx)
		return err
	})
	return state, err
}

// call calls a controller, within bounds.
func (d *Desk) call(ctx context.Context, do func(context.Context) error) error {
	select {
	case d.calls <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.calls }()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return do(ctx)
}

// enter waits until nothing else talks to a controller. The caller calls leave.
func (d *Desk) enter(ctx context.Context, controller string) (leave func(), err error) {
	d.mu.Lock()
	l := d.lanes[controller]
	if l == nil {
		l = &lane{turn: make(chan struct{}, 1)}
		d.lanes[controller] = l
	}
	l.users++
	d.mu.Unlock()
	done := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(d.lanes, controller)
		}
	}
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
