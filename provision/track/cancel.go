package track

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// ErrNotDurable is the error of a [Tracker.Cancel] that is in force, although the
// store could not be written. The error that wraps it says why.
var ErrNotDurable = errors.New("cancelled in memory only")

// Cancel calls off a machine's install, even if it is running: it disarms the
// machine and ends its agent's session. By is the person or program that asks.
//
// Cancel works always. If the store cannot be written, it is in force all the
// same, and is written as soon as that is possible. The error is an
// [ErrNotDurable] then: if the server ends before that, the install is on again.
func (t *Tracker) Cancel(ctx context.Context, mac provision.MAC, by, reason string, tickets *Tickets) error {
	now := t.clock()
	events := []provision.Event{{MAC: mac, Kind: provision.KindDisarmed, By: by, Text: "install disarmed", Reason: reason}}
	if state, _ := t.State(mac); state.Installing() {
		events = append(events, calledOff(mac, reason))
	}
	for i := range events {
		e, err := t.complete(events[i])
		if err != nil {
			return err
		}
		events[i] = e
	}
	ending := tickets.Ending(mac, reason)
	err := t.recordDurable(ctx, slices.Clone(events), ending)
	if err == nil {
		return nil
	}
	tickets.halt(mac, reason, now)
	t.cancelInMemory(events, ending)
	t.say(events)
	return fmt.Errorf("%w: the machine is not installed, unless the server ends before it can write to its state folder: %w", ErrNotDurable, errors.Unwrap(err))
}

// cancelInMemory changes the state at once, and has the events written as soon as
// that is possible.
func (t *Tracker) cancelInMemory(events []provision.Event, ending func(store.Tx) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range events {
		e.ID = t.takeID()
		t.happened(e)
		t.batch.add(e)
	}
	t.batch.also = append(t.batch.also, ending)
	t.wake()
}

// calledOff is the last event of an install whose agent may no longer report.
func calledOff(mac provision.MAC, reason string) provision.Event {
	return provision.Event{
		MAC: mac, Kind: provision.KindFailed, Text: reason,
		Reason: fmt.Sprintf("the agent was at work, so the disk may be half written; `cloudlets install %s` arms a new install", mac),
	}
}

// halted is what was cancelled in memory only.
type halted struct {
	at     time.Time
	reason string
}

// halt ends the machine's sessions and tokens that there are now, in memory.
func (t *Tickets) halt(mac provision.MAC, reason string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.halted[mac] = halted{at, reason}
}

// haltedError returns why a ticket is not valid, if its install was cancelled in
// memory.
func (t *Tickets) haltedError(mac provision.MAC, k ticket) error {
	t.mu.Lock()
	h, is := t.halted[mac]
	t.mu.Unlock()
	if !is || k.issued().After(h.at) {
		return nil
	}
	k.Ended, k.EndReason = h.at, h.reason
	return k.endedError(mac)
}

// issued is when the ticket's token was made.
func (k ticket) issued() time.Time { return k.Expires.Add(-TicketLife) }
