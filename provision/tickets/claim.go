package tickets

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// silence is after how long without a word from an agent its session may be
// replaced from another address. A running agent reports every few seconds.
const silence = 5 * time.Minute

// Claimant is the agent that claims a token.
type Claimant struct {
	// Nonce is made by the agent at each boot. It has 1 to 256 bytes.
	Nonce string
	// Addr is where the claim came from.
	Addr netip.Addr
	// Started says when a machine's firmware was last seen to start, or the
	// zero time. A nil Started means never.
	Started func(provision.MAC) time.Time
}

// started says whether a machine's firmware was seen to start after a time.
func (c Claimant) started(mac provision.MAC, after time.Time) bool {
	return c.Started != nil && c.Started(mac).After(after)
}

// Claim turns a token into a session. The first claim of a token wins. If the
// agent did not get the answer, it asks again with the same nonce and gets the
// same session. Any other second claim of the token is an [ErrRefused].
//
// A new session ends the machine's earlier one. From another address, it does so
// only if the machine's firmware was seen to start after that one began, or its
// agent has been silent for minutes: nobody else on the network ends a running
// install.
func (t *Tickets) Claim(ctx context.Context, token string, by Claimant) (Session, error) {
	if by.Nonce == "" || len(by.Nonce) > maxNonce {
		return Session{}, fmt.Errorf("claim: %w: the nonce must have 1 to %d bytes", ErrRefused, maxNonce)
	}
	var session Session
	err := t.store.Update(ctx, func(tx store.Tx) error {
		mac, book, i, err := find(tx, token, func(k ticket) string { return k.Token })
		if err != nil {
			return err
		}
		if i < 0 {
			return fmt.Errorf("claim: %w: no such token was issued here; restart the machine so that it gets a new one", ErrRefused)
		}
		if !book[i].Used.IsZero() {
			session, err = claimAgain(mac, book[i], token, by.Nonce)
			return err
		}
		if err := book[i].claimable(mac, t.clock()); err != nil {
			return err
		}
		if err := t.haltedError(mac, book[i]); err != nil {
			return err
		}
		if err := t.mayReplace(mac, book, by); err != nil {
			return err
		}
		session, err = t.open(tx, mac, book, i, token, by)
		return err
	})
	return session, err
}

// Issued returns the machine that a token was issued to, as long as nobody has claimed
// it. Otherwise the error is an [ErrRefused]. may says whether by could claim it now: not
// if an agent at another address installs the machine. It needs no nonce.
func (t *Tickets) Issued(ctx context.Context, token string, by Claimant) (mac provision.MAC, may bool, err error) {
	err = t.store.View(ctx, func(tx store.Tx) error {
		owner, book, i, err := find(tx, token, func(k ticket) string { return k.Token })
		switch {
		case err != nil:
			return err
		case i < 0:
			return fmt.Errorf("look up a token: %w: it was not issued here; restart the machine so that it gets a new one", ErrRefused)
		case !book[i].Used.IsZero():
			return fmt.Errorf("look up a token of %s: %w: it was claimed at %s, and its session reports from then on", owner, ErrRefused, book[i].Used.Format(timeFormat))
		}
		mac, may = owner, t.mayReplace(owner, book, by) == nil
		return errors.Join(book[i].claimable(owner, t.clock()), t.haltedError(owner, book[i]))
	})
	return mac, may, err
}

// claimable returns an error if a token cannot be claimed, although nobody has
// claimed it yet.
func (k ticket) claimable(mac provision.MAC, now time.Time) error {
	switch {
	case !k.Ended.IsZero():
		return k.endedError(mac)
	case !now.Before(k.Expires):
		return fmt.Errorf("claim by %s: %w: the token was valid until %s; restart the machine so that it gets a new one",
			mac, ErrRefused, k.Expires.Format(timeFormat))
	}
	return nil
}

// mayReplace refuses a claim while an agent at another address installs the
// machine.
func (t *Tickets) mayReplace(mac provision.MAC, book []ticket, by Claimant) error {
	i := slices.IndexFunc(book, ticket.runs)
	if i < 0 {
		return nil
	}
	running := book[i]
	if !running.Addr.IsValid() || running.Addr == by.Addr || by.started(mac, running.Used) || t.silent(mac, running.Used) {
		return nil
	}
	return fmt.Errorf("claim by %s from %s: %w: an agent at %s installs this machine since %s; cancel that install, or restart the machine so that its firmware asks for an address",
		mac, by.Addr, ErrRefused, running.Addr, running.Used.Format(timeFormat))
}

// claimAgain is the answer to a second claim of a token.
func claimAgain(mac provision.MAC, k ticket, token, nonce string) (Session, error) {
	if !same(k.Nonce, digest(nonce)) {
		return Session{}, fmt.Errorf("claim by %s: %w: the token was used already, at %s%s; if that was not this machine, find out who else can read its boot script, and restart the machine so that it gets a new one",
			mac, ErrRefused, k.Used.Format(timeFormat), from(k.Addr))
	}
	if !k.Ended.IsZero() {
		return Session{}, k.endedError(mac)
	}
	return Session{mac, sessionSecret(token, nonce, k.Salt)}, nil
}

func from(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return " from " + addr.String()
}

// open begins the session of a ticket and ends the machine's others.
func (t *Tickets) open(tx store.Tx, mac provision.MAC, book []ticket, i int, token string, by Claimant) (Session, error) {
	now := t.clock()
	endTickets(book, now, "the machine started again and claimed a newer token", ticket.runs)
	k := &book[i]
	k.Used, k.Addr, k.Nonce, k.Salt = now, by.Addr, digest(by.Nonce), newSecret()
	secret := sessionSecret(token, by.Nonce, k.Salt)
	k.Secret = digest(secret)
	if err := tx.Put(secretBucket, k.Secret, []byte(mac)); err != nil {
		return Session{}, err
	}
	return Session{mac, secret}, writeBook(tx, mac, book)
}

// silent says whether the machine's agent has not been heard for so long that
// its session may be replaced by any other.
func (t *Tickets) silent(mac provision.MAC, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, heard := range []time.Time{t.heard[mac], t.started} {
		if heard.After(since) {
			since = heard
		}
	}
	return t.clock().Sub(since) >= silence
}
