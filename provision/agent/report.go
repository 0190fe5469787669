package agent

import (
	"context"
	"time"

	"cloudlets/provision"
)

// reporter tells the server and the console what happens. Sending is its own
// goroutine, so that a slow server never slows the writing of the disk;
// progress that the server is too slow for is dropped, other events are not.
type reporter struct {
	ctx     context.Context
	mac     provision.MAC
	server  *client
	console *console
	queue   chan provision.Event
	idle    chan struct{}
}

// queueLength is more than the events of a whole install, progress aside.
const queueLength = 64

func newReporter(ctx context.Context, mac provision.MAC, server *client, console *console) *reporter {
	r := &reporter{ctx: ctx, mac: mac, server: server, console: console, queue: make(chan provision.Event, queueLength), idle: make(chan struct{})}
	go r.run()
	return r
}

func (r *reporter) run() {
	defer close(r.idle)
	for event := range r.queue {
		_, err := r.server.post(r.ctx, EventsPath, []provision.Event{event})
		if err != nil {
			r.console.say("the server did not take a report: %v", err)
		}
	}
}

// report queues an event.
func (r *reporter) report(e provision.Event) {
	e.MAC, e.Time = r.mac, time.Now().UTC()
	r.console.event(e)
	if e.Kind == provision.KindProgress && len(r.queue) > queueLength/2 {
		return
	}
	select {
	case r.queue <- e:
	case <-r.ctx.Done():
	}
}

// close waits until all reports are sent.
func (r *reporter) close() {
	close(r.queue)
	<-r.idle
}

// fail reports that the install failed and waits until the server knows.
func (r *reporter) fail(cause error) {
	r.report(provision.Event{Kind: provision.KindFailed, Stage: provision.StageFailed, Text: cause.Error()})
	r.close()
}

// done reports that the disk is complete, and returns once the server has
// recorded it: only then is the machine disarmed.
func (r *reporter) done(result Result) error {
	event := provision.Event{
		MAC: r.mac, Time: time.Now().UTC(), Kind: provision.KindDone, Stage: provision.StageInstalled,
		Text:  "the disk " + result.Disk.Name + " is complete, verified and bootable",
		Facts: map[string]string{"disk": result.Disk.String()},
	}
	r.console.event(event)
	_, err := r.server.post(r.ctx, EventsPath, []provision.Event{event})
	return err
}
