package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// reporter tells the server and the console what happens. Sending is its own
// goroutine, which ends with close, so that a slow server never slows the
// writing of the disk. While the server is away, events are kept, and of
// progress the latest.
type reporter struct {
	ctx     context.Context
	mac     provision.MAC
	server  *client
	console *console
	// calledOff is called if the server refuses a report: a person has
	// cancelled the install, or the machine's next boot claimed a newer plan.
	calledOff func(error)

	wake chan struct{}
	idle chan struct{} // closed when run has ended
	stop sync.Once

	mu      sync.Mutex
	pending []provision.Event
	closed  bool
}

// maxPending bounds what is kept for a server that is away: many times the
// events of a whole install. The server takes so many in one report.
const maxPending = 200

func newReporter(ctx context.Context, mac provision.MAC, server *client, console *console, calledOff func(error)) *reporter {
	r := &reporter{
		ctx: ctx, mac: mac, server: server, console: console, calledOff: calledOff,
		wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	go r.run()
	return r
}

func (r *reporter) run() {
	defer close(r.idle)
	for range r.wake {
		if batch := r.take(); len(batch) > 0 {
			_, err := r.server.post(r.ctx, wire.EventsPath, batch)
			var no refusal
			if errors.As(err, &no) {
				r.calledOff(no)
			}
			if err != nil {
				r.console.say("the server did not take a report: %v", err)
			}
		}
	}
}

func (r *reporter) take() []provision.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := r.pending
	r.pending = nil
	return batch
}

// report shows an event and queues it for the server. It never waits. After
// close the event is only shown.
func (r *reporter) report(e provision.Event) {
	e.MAC, e.Time = r.mac, time.Now().UTC()
	r.console.event(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.queue(e)
	select {
	case r.wake <- struct{}{}:
	default: // run will see this event, too
	}
}

// queue appends an event. Progress replaces the progress before it.
func (r *reporter) queue(e provision.Event) {
	last := len(r.pending) - 1
	if e.Kind == provision.KindProgress && last >= 0 && r.pending[last].Kind == provision.KindProgress {
		r.pending[last] = e
		return
	}
	if len(r.pending) == maxPending {
		r.pending = r.pending[1:]
	}
	r.pending = append(r.pending, e)
}

// close waits until all reports are sent. It may be called again.
func (r *reporter) close() {
	r.stop.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = true
		close(r.wake) // a wake that is in it is still received
	})
	<-r.idle
}

// fail reports that the install failed and waits until the server knows.
func (r *reporter) fail(cause error) {
	r.report(provision.Event{Kind: provision.KindFailed, Stage: provision.StageFailed, Text: cause.Error()})
	r.close()
}

// permit asks the server whether to go on with what cannot be undone: a person
// may have taken the install back meanwhile.
func (r *reporter) permit(ctx context.Context) error {
	event := provision.Event{MAC: r.mac, Time: time.Now().UTC(), Kind: provision.KindLog, Text: "asks whether to go on"}
	if _, err := r.server.post(ctx, wire.EventsPath, []provision.Event{event}); err != nil {
		return fmt.Errorf("ask the server whether to go on: %w", err)
	}
	return nil
}

// done reports that the disk is complete, and returns once the server has
// recorded it, however long that takes: only then is the machine disarmed.
func (r *reporter) done(result Result) error {
	r.close()
	event := provision.Event{
		MAC: r.mac, Time: time.Now().UTC(), Kind: provision.KindDone, Stage: provision.StageInstalled,
		Text:  "the disk " + result.Disk.Name + " is complete, verified and bootable",
		Facts: map[string]string{"disk": result.Disk.String()},
	}
	r.console.event(event)
	for {
		_, err := r.server.post(r.ctx, wire.EventsPath, []provision.Event{event})
		var no refusal
		if err == nil || errors.As(err, &no) || r.ctx.Err() != nil {
			return err
		}
		r.console.say("the disk is complete; waiting for the server to record that, since it would install again otherwise. If it does not come back: `cloudlets install %s --cancel` there, then switch this machine off and on", r.mac)
	}
}
