package tickets

import (
	"context"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// halted are the tickets of an install that was cancelled in memory.
type halted struct {
	at     time.Time
	reason string
	tokens map[string]bool // digests; nil if they could not be read
}

// has says whether a ticket was there. If the tickets could not be read, the time
// must tell, so that the machine can be armed again.
func (h halted) has(k ticket) bool {
	if h.tokens == nil {
		return !k.Expires.Add(-Life).After(h.at)
	}
	return h.tokens[k.Token]
}

// Halt ends in memory the machine's sessions and tokens that there are now. It
// returns the change that ends them in the store, and spares what is issued
// later: the machine may be armed again before that is written.
func (t *Tickets) Halt(ctx context.Context, mac provision.MAC, reason string, at time.Time) (late func(store.Tx) error) {
	h := halted{at: at, reason: reason}
	err := t.store.View(ctx, func(tx store.Tx) error {
		book, err := readBook(tx, mac)
		h.tokens = make(map[string]bool, len(book))
		for _, k := range book {
			h.tokens[k.Token] = true
		}
		return err
	})
	if err != nil {
		h.tokens = nil
	}
	t.mu.Lock()
	t.halted[mac] = h
	t.mu.Unlock()
	return t.ending(mac, reason, h.has)
}

// Unhalt forgets what [Tickets.Halt] noted, since the store says it now.
func (t *Tickets) Unhalt(mac provision.MAC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.halted, mac)
}

// haltedError returns why a ticket is not valid, if its install was cancelled in
// memory.
func (t *Tickets) haltedError(mac provision.MAC, k ticket) error {
	t.mu.Lock()
	h, is := t.halted[mac]
	t.mu.Unlock()
	if !is || !h.has(k) {
		return nil
	}
	k.Ended, k.EndReason = h.at, h.reason
	return k.endedError(mac)
}
