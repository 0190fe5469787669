package track

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// TicketLife is how long a token may be claimed after it was issued.
const TicketLife = time.Hour

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
	store store.Store
	clock func() time.Time
}

// Session is the right of one agent to go on with its install.
type Session struct {
	MAC provision.MAC
	// Secret authenticates the agent's requests.
	Secret string
}

// ticket is a token and what became of it.
type ticket struct {
	Token      string    `json:"token"` // digest
	Expires    time.Time `json:"expires"`
	Superseded time.Time `json:"superseded,omitzero"`
	Used       time.Time `json:"used,omitzero"`
	Nonce      string    `json:"nonce,omitempty"` // digest
	Salt       string    `json:"salt,omitempty"`
	Secret     string    `json:"secret,omitempty"` // digest
	Ended      time.Time `json:"ended,omitzero"`
	EndReason  string    `json:"endReason,omitempty"`
}

// NewTickets makes Tickets that are kept in a store. A nil clock means
// [time.Now].
func NewTickets(store store.Store, clock func() time.Time) *Tickets {
	if clock == nil {
		clock = time.Now
	}
	return &Tickets{store, clock}
}

// Issue makes a token of 128 bits for a machine, in hexadecimal. It is valid for
// one claim within [TicketLife]. Older tokens of the machine that were not
// claimed become invalid.
func (t *Tickets) Issue(ctx context.Context, mac provision.MAC) (token string, err error) {
	token = newSecret()
	now := t.clock()
	err = t.store.Update(ctx, func(tx store.Tx) error {
		book, err := readBook(tx, mac)
		if err != nil {
			return err
		}
		for i := range book {
			if book[i].Used.IsZero() && book[i].Superseded.IsZero() {
				book[i].Superseded = now
			}
		}
		book = append(book, ticket{Token: digest(token), Expires: now.Add(TicketLife)})
		if err := tx.Put(secretBucket, digest(token), []byte(mac)); err != nil {
			return err
		}
		return writeBook(tx, mac, book)
	})
	if err != nil {
		return "", fmt.Errorf("issue a token for %s: %w", mac, err)
	}
	return token, nil
}

// Claim turns a token into a session, and ends the machine's earlier session.
// The agent makes a new nonce at each boot. If it did not get the answer, it
// asks again with the same nonce and gets the same session. Any other second
// claim of the token is an [ErrRefused].
func (t *Tickets) Claim(ctx context.Context, token, nonce string) (Session, error) {
	if nonce == "" || len(nonce) > maxNonce {
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
			session, err = claimAgain(mac, book[i], token, nonce)
			return err
		}
		if err := book[i].claimable(mac, t.clock()); err != nil {
			return err
		}
		session, err = t.open(tx, mac, book, i, token, nonce)
		return err
	})
	return session, err
}

// claimable returns an error if a token cannot be claimed, although nobody has
// claimed it yet.
func (k ticket) claimable(mac provision.MAC, now time.Time) error {
	switch {
	case !k.Ended.IsZero():
		return k.endedError(mac)
	case !k.Superseded.IsZero():
		return fmt.Errorf("claim by %s: %w: the machine got a newer token at %s, and only that one is valid; restart the machine if it does not go on with that one",
			mac, ErrRefused, k.Superseded.Format(timeFormat))
	case !now.Before(k.Expires):
		return fmt.Errorf("claim by %s: %w: the token was valid until %s; restart the machine so that it gets a new one",
			mac, ErrRefused, k.Expires.Format(timeFormat))
	}
	return nil
}

// claimAgain is the answer to a second claim of a token.
func claimAgain(mac provision.MAC, k ticket, token, nonce string) (Session, error) {
	if !same(k.Nonce, digest(nonce)) {
		return Session{}, fmt.Errorf("claim by %s: %w: the token was used already, at %s; if that was not this machine, find out who else can read its boot script, and restart the machine so that it gets a new one",
			mac, ErrRefused, k.Used.Format(timeFormat))
	}
	if !k.Ended.IsZero() {
		return Session{}, k.endedError(mac)
	}
	return Session{mac, sessionSecret(token, nonce, k.Salt)}, nil
}

// open begins the session of a ticket and ends the machine's others.
func (t *Tickets) open(tx store.Tx, mac provision.MAC, book []ticket, i int, token, nonce string) (Session, error) {
	now := t.clock()
	endTickets(book, now, "the machine started again and claimed a newer token",
		func(k ticket) bool { return !k.Used.IsZero() })
	k := &book[i]
	k.Used, k.Nonce, k.Salt = now, digest(nonce), newSecret()
	secret := sessionSecret(token, nonce, k.Salt)
	k.Secret = digest(secret)
	if err := tx.Put(secretBucket, k.Secret, []byte(mac)); err != nil {
		return Session{}, err
	}
	return Session{mac, secret}, writeBook(tx, mac, book)
}

// Session returns the machine that a session's secret belongs to. If the session
// has ended, it returns the machine together with an [ErrSessionEnded]. For an
// unknown secret the error is an [ErrRefused].
func (t *Tickets) Session(ctx context.Context, secret string) (mac provision.MAC, err error) {
	err = t.store.View(ctx, func(tx store.Tx) error {
		found, book, i, err := find(tx, secret, func(k ticket) string { return k.Secret })
		if err != nil {
			return err
		}
		if i < 0 {
			return fmt.Errorf("authenticate agent: %w: no such session; restart the machine so that it claims its plan again", ErrRefused)
		}
		mac = found
		if !book[i].Ended.IsZero() {
			return book[i].endedError(mac)
		}
		return nil
	})
	return mac, err
}

func (k ticket) endedError(mac provision.MAC) error {
	return fmt.Errorf("authenticate agent of %s: %w at %s: %s; restart the machine if you want to install it",
		mac, ErrSessionEnded, k.Ended.Format(timeFormat), k.EndReason)
}

// End ends the machine's session and makes its token invalid, if it has any. It
// is called when the install is done, has failed or was cancelled. An agent that
// goes on nevertheless gets the reason as its answer.
func (t *Tickets) End(ctx context.Context, mac provision.MAC, reason string) error {
	err := t.store.Update(ctx, func(tx store.Tx) error {
		book, err := readBook(tx, mac)
		if err != nil || len(book) == 0 {
			return err
		}
		endTickets(book, t.clock(), reason, func(ticket) bool { return true })
		return writeBook(tx, mac, book)
	})
	if err != nil {
		return fmt.Errorf("end the session of %s: %w", mac, err)
	}
	return nil
}

func endTickets(book []ticket, now time.Time, reason string, meant func(ticket) bool) {
	for i := range book {
		if book[i].Ended.IsZero() && meant(book[i]) {
			book[i].Ended, book[i].EndReason = now, reason
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
