package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/wire"
)

// reporter tells the server and the console what happens. A goroutine of its
// own sends the events, so that a slow server never slows the writing of the
// disk. close ends the goroutine. While the server does not answer, the
// reporter keeps the events, but only the latest of consecutive progress.
type reporter struct {
	ctx     context.Context
	mac     provision.MAC
	server  *client.Client
	console *console
	// calledOff is called if the server refuses a report, because a person
	// cancelled the install, or because the machine booted again and claimed a
	// newer plan.
	calledOff func(error)
	// waiting is what the console says while the server does not record the end; "" is what
	// an installer says.
	waiting string

	wake chan struct{}
	idle chan struct{} // closed when run has ended
	stop sync.Once

	mu      sync.Mutex
	pending []provision.Event
	closed  bool
}

// maxPending is how many events are kept while the server does not answer. A
// whole install has far fewer. The server accepts that many in one report.
const maxPending = 200

func newReporter(ctx context.Context, mac provision.MAC, server *client.Client, console *console, calledOff func(error)) *reporter {
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
			_, err := r.server.Post(r.ctx, wire.EventsPath, batch)
			var no client.Refusal
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

// report shows an event on the console and queues it for the server. It does
// not wait for the server. After close it only shows the event.
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
	default: // run has yet to receive the last wake, and will take this event, too
	}
}

// queue appends an event. If the event and the last one are both progress, it
// replaces the last one. If the queue is full, the oldest event is dropped.
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

// close waits until all reports are sent, or could not be sent. It may be
// called again.
func (r *reporter) close() {
	r.stop.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.closed = true
		close(r.wake) // run still receives a wake that is in the channel
	})
	<-r.idle
}

// fail reports that an attempt failed, which one it was, and whether the agent makes
// another one by itself. It waits until the server has the
// report, or the client gives up.
func (r *reporter) fail(cause error, again bool, attempt string, beside bool) {
	r.report(provision.Event{Kind: provision.KindFailed, Stage: provision.StageFailed, Text: cause.Error(), Reason: attempt, Again: again, Beside: beside})
	r.close()
}

// permit asks the server whether to take a step that cannot be undone, since a
// person may have cancelled the install meanwhile. It returns an error if the
// server refuses or does not answer.
func (r *reporter) permit(ctx context.Context, step string) error {
	event := provision.Event{MAC: r.mac, Time: time.Now().UTC(), Kind: provision.KindLog, Text: "asks whether to " + step}
	if _, err := r.server.Post(ctx, wire.EventsPath, []provision.Event{event}); err != nil {
		return fmt.Errorf("ask the server whether to go on: %w", err)
	}
	return nil
}

// done reports that the disk is complete. It waits, however long that takes,
// until the server has recorded the report, since only then is the machine
// disarmed. It returns an error if the server refuses the report.
func (r *reporter) done(result install.Result) error {
	r.close()
	event := provision.Event{
		MAC: r.mac, Time: time.Now().UTC(), Kind: provision.KindDone, Stage: provision.StageInstalled,
		Text:  "the disk " + result.Disk.Name + " is complete, verified and bootable",
		Facts: map[string]string{"disk": result.Disk.String()}, Reason: result.Report.String(), Report: &result.Report,
		Beside: result.Beside, Slot: result.Report.Slot,
	}
	switch {
	case result.Rollback:
		event.Rollback, event.Report, event.Reason = result.Report.Slot, nil, ""
		event.Text = "the system in slot " + strings.ToUpper(result.Report.Slot) + " of the disk " + result.Disk.Name + " is on trial: the machine goes back to it"
	case result.Beside:
		event.Text = "slot " + strings.ToUpper(result.Report.Slot) + " of the disk " + result.Disk.Name + " is complete and verified, and on trial"
	}
	r.console.event(event)
	for {
		_, err := r.server.Post(r.ctx, wire.EventsPath, []provision.Event{event})
		var no client.Refusal
		if err == nil || errors.As(err, &no) || r.ctx.Err() != nil {
			return err
		}
		if r.waiting != "" {
			r.console.say("%s", r.waiting)
			continue
		}
		r.console.say("the disk is complete; waiting for the server to record that, since it would install again otherwise. If it does not come back: `cloudlets install %s --cancel` there, then switch this machine off and on", r.mac)
	}
}
