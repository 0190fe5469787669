package track

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
)

// ErrNotDurable is the error of a [Tracker.Cancel] that is in force, although the
// store could not be written. The error that wraps it says why.
var ErrNotDurable = errors.New("cancelled in memory only")

// Cancel calls off a machine's install, even if it is running: it disarms the
// machine and ends its agent's session. By is the person or program that asks.
//
// Cancel works always, and at once: the session and the tokens that there are end
// in memory before anything is written. If the store cannot be written, all of it
// stays in force, and is written as soon as that is possible. The error is an
// [ErrNotDurable] then: if the server ends before that, the install is on again.
func (t *Tracker) Cancel(ctx context.Context, mac provision.MAC, by, reason string, tickets *tickets.Tickets) error {
	disarmed, err := t.complete(provision.Event{MAC: mac, Kind: provision.KindDisarmed, By: by, Text: "install disarmed", Reason: reason})
	if err != nil {
		return err
	}
	failed, err := t.complete(calledOff(mac, reason))
	if err != nil {
		return err
	}
	choose := func(s provision.State) ([]provision.Event, error) {
		if s.Installing() {
			end := failed
			if s.Stage == provision.StageConfirm && s.Confirmed == "" {
				end.Reason = "the agent waited for its plan to be confirmed, so nothing was written"
			}
			return []provision.Event{disarmed, end}, nil
		}
		return []provision.Event{disarmed}, nil
	}
	ctx = context.WithoutCancel(ctx) // once it has begun, it is done, even if nobody waits for the answer
	late := tickets.Halt(ctx, disarmed.MAC, reason, t.clock())
	if _, err = t.decide(ctx, disarmed.MAC, choose, tickets.Ending(disarmed.MAC, reason)); err == nil {
		tickets.Unhalt(disarmed.MAC)
		return nil
	}
	t.say(t.cancelInMemory(disarmed.MAC, choose, late))
	return fmt.Errorf("%w: the machine is not installed, unless the server ends before it can write to its state folder: %w", ErrNotDurable, err)
}

// cancelInMemory changes the state at once, and has the events written as soon as
// that is possible.
func (t *Tracker) cancelInMemory(mac provision.MAC, choose choice, late func(store.Tx) error) []provision.Event {
	t.lock()
	defer t.unlock()
	m := t.machine(mac)
	events, _ := choose(*m.state) // this choice never refuses
	for i := range events {
		events[i].ID = t.takeID()
		t.wait(m, waiting{Event: events[i], also: late})
		t.publish(events[i])
		late = nil // once is enough
	}
	return events
}

// calledOff is the last event of an install whose agent may no longer report.
func calledOff(mac provision.MAC, reason string) provision.Event {
	return provision.Event{
		MAC: mac, Kind: provision.KindFailed, Text: reason,
		Reason: fmt.Sprintf("the agent was at work, so the disk may be half written, or of an update the slot that it wrote; `cloudlets install %s` arms a new install", mac),
	}
}
