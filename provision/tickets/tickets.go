// Package tickets are the rights of agents, kept in a [store.Store]: a token lets a
// machine claim its install once, and the session that it gets for that lets it go on. Tokens of rescue, live and running systems are not kept: nouns of
// package provision derive them from the site's key.
//
// What belongs to one transaction with a machine's events is a function of a [store.Tx],
// such as [Tickets.Ending]: package track has them carried out together.
package tickets

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// Life is how long a token may be claimed after it was issued.
const Life = time.Hour

const (
	secretBytes = 16 // 128 bits
	// maxTickets is how many of a machine's tickets are kept, so that an old
	// one is refused with a reason, and not as unknown.
	maxTickets = 8
	maxNonce   = 256

	ticketBucket = "tickets" // MAC: []ticket, oldest first
	secretBucket = "secrets" // digest of a token or a session's secret: MAC
	timeFormat   = "2006-01-02 15:04:05"
)

// ErrRefused is the error for a token or a secret that is not valid. The error
// that wraps it says why, and what to do.
var ErrRefused = errors.New("refused")

// ErrSessionEnded is the error for the secret of an ended session: the install
// is done, has failed, was cancelled, or another one of the machine replaced it.
// It is an [ErrRefused] too.
var ErrSessionEnded = fmt.Errorf("%w: the session has ended", ErrRefused)

// Tickets lets a machine that boots to install claim its plan, once. Its token
// is on the kernel's command line, where others may read it. The first agent
// that claims the token gets a session, whose secret only that agent knows. The
// store has only digests of tokens and secrets. Sessions survive a restart of
// the server.
type Tickets struct {
	store   store.Store
	clock   func() time.Time
	started time.Time

	mu     sync.Mutex
	issued map[provision.MAC]issuedToken // the latest of each machine
	heard  map[provision.MAC]time.Time   // when its agent was last heard, since this server started
	halted map[provision.MAC]halted
}

// issuedToken is a token in clear, which only memory has.
type issuedToken struct {
	token   string
	expires time.Time
}

// Session is the right of one agent to go on with its install.
type Session struct {
	MAC provision.MAC
	// Secret authenticates the agent's requests.
	Secret string
}

// ticket is a token and what became of it.
type ticket struct {
	Token     string     `json:"token"` // digest
	Expires   time.Time  `json:"expires"`
	Used      time.Time  `json:"used,omitzero"`
	Addr      netip.Addr `json:"addr,omitzero"`   // of the agent that claimed it
	Nonce     string     `json:"nonce,omitempty"` // digest
	Salt      string     `json:"salt,omitempty"`
	Secret    string     `json:"secret,omitempty"` // digest
	Ended     time.Time  `json:"ended,omitzero"`
	EndReason string     `json:"endReason,omitempty"`
	// Note is what a server needs to go on with the session that another began.
	Note json.RawMessage `json:"note,omitempty"`
}

// runs says whether a ticket has a session that has not ended.
func (k ticket) runs() bool { return !k.Used.IsZero() && k.Ended.IsZero() }

// New makes Tickets that are kept in a store. A nil clock means
// [time.Now].
func New(store store.Store, clock func() time.Time) *Tickets {
	if clock == nil {
		clock = time.Now
	}
	return &Tickets{store: store, clock: clock, started: clock(), heard: make(map[provision.MAC]time.Time), issued: make(map[provision.MAC]issuedToken), halted: make(map[provision.MAC]halted)}
}

// Issue returns a token of 128 bits for a machine, in hexadecimal. It is valid for
// one claim within [Life], and at least for half of that from now on.
//
// Anyone can fetch a machine's boot script, and must not change anything by
// that. So Issue returns the same token until it is claimed or half of its life
// is over, and a new token does not make an older one invalid.
func (t *Tickets) Issue(ctx context.Context, mac provision.MAC) (token string, err error) {
	now := t.clock()
	token, err = t.unclaimed(ctx, mac, now.Add(Life/2))
	if err == nil && token == "" {
		token, err = t.issue(ctx, mac, now.Add(Life))
	}
	if err != nil {
		return "", fmt.Errorf("issue a token for %s: %w", mac, err)
	}
	return token, nil
}

// unclaimed returns the machine's latest token, if it can be claimed until a
// time. Otherwise it returns "".
func (t *Tickets) unclaimed(ctx context.Context, mac provision.MAC, until time.Time) (token string, err error) {
	t.mu.Lock()
	latest, known := t.issued[mac]
	t.mu.Unlock()
	if !known || latest.expires.Before(until) {
		return "", nil
	}
	err = t.store.View(ctx, func(tx store.Tx) error {
		_, book, i, err := find(tx, latest.token, func(k ticket) string { return k.Token })
		if err == nil && i >= 0 && book[i].Used.IsZero() && book[i].Ended.IsZero() {
			token = latest.token
		}
		return err
	})
	return token, err
}

// issue makes a new token.
func (t *Tickets) issue(ctx context.Context, mac provision.MAC, expires time.Time) (string, error) {
	token := newSecret()
	err := t.store.Update(ctx, func(tx store.Tx) error {
		book, err := readBook(tx, mac)
		if err != nil {
			return err
		}
		book = append(book, ticket{Token: digest(token), Expires: expires})
		if err := tx.Put(secretBucket, digest(token), []byte(mac)); err != nil {
			return err
		}
		return writeBook(tx, mac, book)
	})
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.issued[mac] = issuedToken{token, expires}
	return token, nil
}

// Session returns the machine that a session's secret belongs to. If the session
// has ended, it returns the machine together with an [ErrSessionEnded]. For an
// unknown secret the error is an [ErrRefused].
func (t *Tickets) Session(ctx context.Context, secret string) (mac provision.MAC, err error) {
	err = t.store.View(ctx, func(tx store.Tx) (err error) {
		mac, _, err = t.running(tx, secret)
		return err
	})
	if err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.heard[mac] = t.clock()
	}
	return mac, err
}

// Running fails a transaction unless the session that a secret belongs to runs.
func (t *Tickets) Running(secret string) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, _, err := t.running(tx, secret)
		return err
	}
}

// maxNote bounds what is kept with a session, in bytes.
const maxNote = 16 << 10

// Noting keeps a JSON text with a session until it ends, as part of another
// transaction, which fails unless the session runs.
func (t *Tickets) Noting(secret string, note []byte) func(store.Tx) error {
	return func(tx store.Tx) error {
		mac, book, err := t.running(tx, secret)
		if err != nil {
			return err
		}
		if len(note) > maxNote {
			return fmt.Errorf("keep what the install of %s needs: it has %d bytes, and at most %d are possible", mac, len(note), maxNote)
		}
		i := slices.IndexFunc(book, func(k ticket) bool { return same(k.Secret, digest(secret)) })
		book[i].Note = note
		return writeBook(tx, mac, book)
	}
}

// Note returns what [Tickets.Noting] kept with a running session, or nil.
func (t *Tickets) Note(ctx context.Context, secret string) (note []byte, err error) {
	err = t.store.View(ctx, func(tx store.Tx) error {
		_, book, err := t.running(tx, secret)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(book, func(k ticket) bool { return same(k.Secret, digest(secret)) })
		note = book[i].Note
		return nil
	})
	return note, err
}

// running returns the machine and the tickets that a session's secret belongs
// to, and an error unless the session runs.
func (t *Tickets) running(tx store.Tx, secret string) (provision.MAC, []ticket, error) {
	mac, book, i, err := find(tx, secret, func(k ticket) string { return k.Secret })
	if err != nil {
		return "", nil, err
	}
	if i < 0 {
		return "", nil, fmt.Errorf("authenticate agent: %w: no such session; restart the machine so that it claims its plan again", ErrRefused)
	}
	if !book[i].Ended.IsZero() {
		return mac, book, book[i].endedError(mac)
	}
	return mac, book, t.haltedError(mac, book[i])
}

func (k ticket) endedError(mac provision.MAC) error {
	return fmt.Errorf("authenticate agent of %s: %w at %s: %s; restart the machine if you want to install it",
		mac, ErrSessionEnded, k.Ended.Format(timeFormat), k.EndReason)
}

// End ends the machine's session and makes its token invalid, if it has any. It
// is called when the install is done, has failed or was cancelled. An agent that
// goes on nevertheless gets the reason as its answer.
func (t *Tickets) End(ctx context.Context, mac provision.MAC, reason string) error {
	if err := t.store.Update(ctx, t.Ending(mac, reason)); err != nil {
		return fmt.Errorf("end the session of %s: %w", mac, err)
	}
	return nil
}

// Ending is [Tickets.End] as part of another transaction: see
// track.Tracker.RecordWith.
func (t *Tickets) Ending(mac provision.MAC, reason string) func(store.Tx) error {
	return t.ending(mac, reason, func(ticket) bool { return true })
}

// ending ends those of the machine's tickets that are meant.
func (t *Tickets) ending(mac provision.MAC, reason string, meant func(ticket) bool) func(store.Tx) error {
	now := t.clock()
	return func(tx store.Tx) error {
		book, err := readBook(tx, mac)
		if err != nil || len(book) == 0 {
			return err
		}
		endTickets(book, now, reason, meant)
		return writeBook(tx, mac, book)
	}
}

// EndingSession ends the session that a secret belongs to, as part of another
// transaction. If the session has ended already, or there is none, the
// transaction fails with the error of [Tickets.Session].
func (t *Tickets) EndingSession(secret, reason string) func(store.Tx) error {
	now := t.clock()
	return func(tx store.Tx) error {
		mac, book, err := t.running(tx, secret)
		if err != nil {
			return err
		}
		endTickets(book, now, reason, func(ticket) bool { return true })
		return writeBook(tx, mac, book)
	}
}

func endTickets(book []ticket, now time.Time, reason string, meant func(ticket) bool) {
	for i := range book {
		if book[i].Ended.IsZero() && meant(book[i]) {
			book[i].Ended, book[i].EndReason, book[i].Note = now, reason, nil
		}
	}
}

// find looks up the ticket that a token or a secret belongs to. The index is -1
// if there is none.
func find(tx store.Tx, secret string, part func(ticket) string) (provision.MAC, []ticket, int, error) {
	want := digest(secret)
	owner, err := tx.Get(secretBucket, want)
	if err != nil || owner == nil {
		return "", nil, -1, err
	}
	mac := provision.MAC(owner)
	book, err := readBook(tx, mac)
	if err != nil {
		return "", nil, -1, err
	}
	i := slices.IndexFunc(book, func(k ticket) bool { return same(part(k), want) })
	return mac, book, i, nil
}

func readBook(tx store.Tx, mac provision.MAC) (book []ticket, err error) {
	_, err = store.GetJSON(tx, ticketBucket, string(mac), &book)
	return book, err
}

// writeBook stores a machine's tickets, and deletes the oldest if there are more
// than maxTickets.
func writeBook(tx store.Tx, mac provision.MAC, book []ticket) error {
	for len(book) > maxTickets {
		i := oldestIdle(book)
		for _, key := range []string{book[i].Token, book[i].Secret} {
			if key == "" {
				continue
			}
			if err := tx.Delete(secretBucket, key); err != nil {
				return err
			}
		}
		book = slices.Delete(book, i, i+1)
	}
	return store.PutJSON(tx, ticketBucket, string(mac), book)
}

// oldestIdle returns the oldest ticket without a running session. Fetching the
// boot script many times must not end the session of an agent.
func oldestIdle(book []ticket) int {
	return max(0, slices.IndexFunc(book, func(k ticket) bool { return k.Used.IsZero() || !k.Ended.IsZero() }))
}

// sessionSecret derives the secret from the token, the agent's nonce and the
// server's salt. A repeated claim thus gets the same secret, even after a restart
// of the server, although the server does not store it. The token alone is not
// enough to make it.
func sessionSecret(token, nonce, salt string) string {
	mac := hmac.New(sha256.New, []byte(token))
	fmt.Fprintf(mac, "cloudlets session\x00%s\x00%s", salt, nonce)
	return hex.EncodeToString(mac.Sum(nil))
}

func newSecret() string {
	var raw [secretBytes]byte
	rand.Read(raw[:]) // never fails (crypto/rand)
	return hex.EncodeToString(raw[:])
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
