package track

import (
	"context"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/tickets"
)

// Propose records what an agent is about to do, and says whether it may: nobody is to
// confirm it, or a person has. spec is what the site says about the machine, and asks says
// that the agent's plan asked for a person: what this server has in memory of the machine
// may be behind.
//
// Where a person is to confirm it, all of that is read and written in one transaction, in
// which the session of the secret must run. So any server that shares the store gives the
// same answer.
func (t *Tracker) Propose(ctx context.Context, mac provision.MAC, spec *provision.Spec, p provision.Proposal, asks bool, tickets *tickets.Tickets, secret string) (may bool, err error) {
	p = p.Bounded()
	e := provision.Event{MAC: mac, Kind: provision.KindPlan, Text: "will " + p.String(), Proposal: &p}
	state, _ := t.State(mac)
	asks = asks || state.Confirm || spec != nil && spec.Confirm
	if !asks { // another server may have been told so a moment ago
		stored, err := t.Stored(ctx, mac)
		if err != nil {
			return false, err
		}
		asks = stored.Confirm
	}
	if !asks {
		return true, t.Record(ctx, e)
	}
	if state.Waits(p) && state.Confirmed != p.Digest() {
		t.stillWaits(mac)
		return false, nil
	}
	e.Stage, e.Reason = provision.StageConfirm, "it waits until a person confirms that with `cloudlets confirm "+string(mac)+"`"
	if e, err = t.complete(e); err != nil {
		return false, err
	}
	_, err = t.decide(ctx, e.MAC, func(s provision.State) ([]provision.Event, error) {
		may = s.Confirmed == p.Digest()
		event := e
		switch {
		case s.Waits(p):
			return nil, nil
		case may:
			event.Stage, event.Reason = "", "that was confirmed by "+s.ConfirmedBy
		}
		return []provision.Event{event}, nil
	}, tickets.Running(secret))
	return may && err == nil, err
}

// noteWaiting is how often it is written that an agent still waits.
const noteWaiting = time.Minute

// stillWaits notes that an agent that waits for a person is still there, for all servers
// that share the store. The trace has no event of it.
func (t *Tracker) stillWaits(mac provision.MAC) {
	t.lock()
	defer t.unlock()
	m, now := t.machine(mac), t.clock()
	if now.Sub(m.state.Heard) >= noteWaiting {
		t.wait(m, waiting{Event: provision.Event{ID: t.takeID(), MAC: mac, Kind: provision.KindProgress, Time: now}})
	}
}

// Confirm lets a machine's agent write what it has proposed, if that is what a person
// has seen: the digest is that of the proposal. by is the person or program that asks. If
// the machine does not wait for that, the error is a [provision.ErrNotWaiting].
func (t *Tracker) Confirm(ctx context.Context, mac provision.MAC, by, digest string) error {
	e := provision.Event{MAC: mac, Kind: provision.KindConfirm, By: by, Digest: digest, Text: "plan confirmed"}
	return t.RecordWith(ctx, e, func(s provision.State) error { return s.CheckConfirm(digest) }, nil)
}
