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
	// maxTickets is how many of a machine's tickets are remembered, so that
	// one that is old is refused with the reason and not as unknown.
	maxTickets = 8
	maxNonce   = 256

	ticketBucket = "tickets" // MAC: []ticket, oldest first
	secretBucket = "secrets" // digest of a token or a session's secret: MAC
	timeFormat   = "2006-01-02 15:04:05"
)

// ErrRefused is what a token or a secret gets that gives no right to anything.
// The error around it says why, and what to do.
var ErrRefused = errors.New("refused")

// ErrSessionEnded is what the secret of an ended session gets: its install is
// done, has failed, or another one of the machine took its place. It is an
// [ErrRefused] too.
var ErrSessionEnded = fmt.Errorf("%w: the session has ended", ErrRefused)

// Tickets lets a machine that was sent to install claim its plan, once. A
// token travels on the kernel's command line, where others may read it; the
// first agent to claim it gets a session, whose secret nobody else saw. Only
// digests are kept. Sessions survive a restart of the server.
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

// NewTickets keeps its tickets in a store. A nil clock is [time.Now].
func NewTickets(store store.Store, clock func() time.Time) *Tickets {
	if clock == nil {
		clock = time.Now
	}
	return &Tickets{store, clock}
}

// Issue makes a token of 128 bits for a machine, in hexadecimal. It is good
// for one claim within [TicketLife]. Older tokens of the machine that are not
// claimed yet are good no more.
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

// Claim turns a token into a session, and ends the machine's earlier one. The
// nonce is the agent's own, made up once for each boot: an agent that did not
// get the answer asks again with the same nonce, and gets the same session.
// Any other second claim is an [ErrRefused].
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

// claimable says why a token that was not used cannot be.
func (k ticket) claimable(mac provision.MAC, now time.Time) error {
	switch {
	case !k.Ended.IsZero():
		return k.endedError(mac)
	case !k.Superseded.IsZero():
		return fmt.Errorf("claim by %s: %w: the machine got a newer token at %s, and only that one is good; restart the machine if it does not go on with it",
			mac, ErrRefused, k.Superseded.Format(timeFormat))
	case !now.Before(k.Expires):
		return fmt.Errorf("claim by %s: %w: the token was good until %s; restart the machine so that it gets a new one",
			mac, ErrRefused, k.Expires.Format(timeFormat))
	}
	return nil
}

// claimAgain is the answer to a second claim of a token.
func claimAgain(mac provision.MAC, k ticket, token, nonce string) (Session, error) {
	if !same(k.Nonce, digest(nonce)) {
		return Session{}, fmt.Errorf("claim by %s: %w: the token was used at %s already; if that was not this machine, find out who else reads its boot script, and restart it for a new token",
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

// Session tells whose a session's secret is. A secret that is good no more is
// an [ErrSessionEnded], still with the machine; one that never was is an
// [ErrRefused].
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
	return fmt.Errorf("authenticate agent of %s: %w at %s: %s; restart the machine if it shall be installed",
		mac, ErrSessionEnded, k.Ended.Format(timeFormat), k.EndReason)
}

// End ends the machine's session, if it has one, and takes back its token, if
// one is out: its install is done, has failed, or was called off. The reason
// is told to an agent that goes on all the same.
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

// find looks up the ticket that a token or a secret belongs to. The index is
// -1 where there is none.
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

// writeBook stores a machine's tickets and forgets the oldest.
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

// oldestIdle is the oldest ticket whose session is not under way: fetching the
// boot script over and over must not throw an agent out.
func oldestIdle(book []ticket) int {
	return max(0, slices.IndexFunc(book, func(k ticket) bool { return k.Used.IsZero() || !k.Ended.IsZero() }))
}

// sessionSecret follows from what the server and the agent know, and is kept
// by neither for the other: a repeated claim gets the same one, also after a
// restart. Who reads the token alone cannot make it.
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
