package tickets_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/tickets/ticketstest"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// midday is when the tests of this package begin.
var midday = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// node is the machine of these tests.
const node provision.MAC = "52:54:00:00:00:01"

func openStore(t *testing.T, path string) *store.File {
	t.Helper()
	s, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newTickets(t *testing.T) (*tickets.Tickets, *clock) {
	c := &clock{now: midday}
	return tickets.New(&store.Memory{}, c.Now), c
}

func TestClaimAToken(t *testing.T) {
	k, _ := newTickets(t)
	token := ticketstest.Issue(t, k, node)
	s := ticketstest.Claim(t, k, token, "nonce")
	if s.MAC != node || s.Secret == "" || s.Secret == token {
		t.Errorf("got %+v", s)
	}
	if m, err := k.Session(t.Context(), s.Secret); m != node || err != nil {
		t.Errorf("got %s, %v", m, err)
	}
}

func TestATokenIsGoodOnce(t *testing.T) {
	k, c := newTickets(t)
	token := ticketstest.Issue(t, k, node)
	s := ticketstest.Claim(t, k, token, "nonce")
	c.Advance(2 * time.Hour) // a lost answer is asked for again, however late
	if again := ticketstest.Claim(t, k, token, "nonce"); again != s {
		t.Errorf("the same agent got another session: %+v, then %+v", s, again)
	}
	_, err := k.Claim(t.Context(), token, tickets.Claimant{Nonce: "another nonce"})
	ticketstest.Refused(t, err, string(node), "2026-11-23 12:00:00", "restart the machine")
	if _, err := k.Session(t.Context(), s.Secret); err != nil {
		t.Errorf("the refused claim ended the session: %v", err)
	}
}

func TestRefusedTokens(t *testing.T) {
	k, c := newTickets(t)
	_, err := k.Claim(t.Context(), "0123456789abcdef0123456789abcdef", tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "no such token")
	_, err = k.Claim(t.Context(), "", tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "no such token")
	_, err = k.Claim(t.Context(), ticketstest.Issue(t, k, node), tickets.Claimant{Nonce: ""})
	ticketstest.Refused(t, err, "nonce")

	newer := ticketstest.Issue(t, k, node)
	c.Advance(tickets.Life)
	_, err = k.Claim(t.Context(), newer, tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "until 2026-11-23 13:00:00")

	off := ticketstest.Issue(t, k, node)
	if err := k.End(t.Context(), node, "ann called it off"); err != nil {
		t.Fatal(err)
	}
	_, err = k.Claim(t.Context(), off, tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "ann called it off")
}

func TestATokenIsGoodUntilItExpires(t *testing.T) {
	k, c := newTickets(t)
	token := ticketstest.Issue(t, k, node)
	c.Advance(tickets.Life - time.Second)
	ticketstest.Claim(t, k, token, "n")
}

func TestMachinesDoNotDisturbOneAnother(t *testing.T) {
	k, _ := newTickets(t)
	const other provision.MAC = "52:54:00:00:00:02"
	a, b := ticketstest.Issue(t, k, node), ticketstest.Issue(t, k, other)
	if s := ticketstest.Claim(t, k, b, "n"); s.MAC != other {
		t.Errorf("got %+v", s)
	}
	if s := ticketstest.Claim(t, k, a, "n"); s.MAC != node {
		t.Errorf("got %+v", s)
	}
}

func TestANewSessionEndsTheOld(t *testing.T) {
	k, _ := newTickets(t)
	old := ticketstest.Claim(t, k, ticketstest.Issue(t, k, node), "n")
	token := ticketstest.Issue(t, k, node)
	if _, err := k.Session(t.Context(), old.Secret); err != nil {
		t.Errorf("a token that nobody claimed ended the session: %v", err)
	}
	ticketstest.Claim(t, k, token, "n")
	_, err := k.Session(t.Context(), old.Secret)
	ticketstest.Refused(t, err, "started again")
}

func TestEndedSessions(t *testing.T) {
	k, _ := newTickets(t)
	token := ticketstest.Issue(t, k, node)
	s := ticketstest.Claim(t, k, token, "n")
	for range 2 { // the second changes nothing
		if err := k.End(t.Context(), node, "the install is done"); err != nil {
			t.Fatal(err)
		}
	}
	m, err := k.Session(t.Context(), s.Secret)
	if !errors.Is(err, tickets.ErrSessionEnded) || m != node {
		t.Errorf("got %s, %v", m, err)
	}
	ticketstest.Refused(t, err, "the install is done")
	_, err = k.Claim(t.Context(), token, tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "the install is done")
	_, err = k.Session(t.Context(), token)
	ticketstest.Refused(t, err, "no such session")
	if err := k.End(t.Context(), "52:54:00:00:00:02", "unknown"); err != nil {
		t.Error(err)
	}
}

// TestAskingAgainGivesTheSameToken: whoever fetches the boot script changes
// nothing, until the token is used or its life is half over.
func TestAskingAgainGivesTheSameToken(t *testing.T) {
	k, c := newTickets(t)
	first := ticketstest.Issue(t, k, node)
	c.Advance(tickets.Life / 2)
	if again := ticketstest.Issue(t, k, node); again != first {
		t.Error("another token, though the first can be claimed for long")
	}
	c.Advance(time.Second)
	second := ticketstest.Issue(t, k, node)
	if second == first {
		t.Error("a token whose life is half over was given again")
	}
	ticketstest.Claim(t, k, first, "n") // it did not become invalid
	if again := ticketstest.Issue(t, k, node); again != second {
		t.Error("another token, though the second was not claimed")
	}
	ticketstest.Claim(t, k, second, "n")
	if again := ticketstest.Issue(t, k, node); again == second {
		t.Error("a token that was claimed was given again")
	}
}

func at(nonce, addr string) tickets.Claimant {
	return tickets.Claimant{Nonce: nonce, Addr: netip.MustParseAddr(addr)}
}

// TestNobodyElseEndsASession: a claim from another address does not end a
// session, unless the machine's firmware was seen to start since.
func TestNobodyElseEndsASession(t *testing.T) {
	k, c := newTickets(t)
	s, err := k.Claim(t.Context(), ticketstest.Issue(t, k, node), at("n", "10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	token := ticketstest.Issue(t, k, node)
	other := at("other", "10.0.0.9")
	_, err = k.Claim(t.Context(), token, other)
	ticketstest.Refused(t, err, "10.0.0.9", "an agent at 10.0.0.1", "2026-11-23 12:00:00")
	if _, err := k.Session(t.Context(), s.Secret); err != nil {
		t.Errorf("the refused claim ended the session: %v", err)
	}
	c.Advance(time.Second)
	started := c.Now()
	other.Started = func(provision.MAC) time.Time { return started }
	c.Advance(time.Second)
	if _, err := k.Claim(t.Context(), token, other); err != nil {
		t.Error(err)
	}
	_, err = k.Session(t.Context(), s.Secret)
	ticketstest.Refused(t, err, "started again")
	if _, err := k.Claim(t.Context(), ticketstest.Issue(t, k, node), at("again", "10.0.0.9")); err != nil {
		t.Errorf("from the same address: %v", err)
	}
}

func TestManyTokensAreForgottenButNoSessionIs(t *testing.T) {
	k, c := newTickets(t)
	s := ticketstest.Claim(t, k, ticketstest.Issue(t, k, node), "n")
	first := ticketstest.Issue(t, k, node)
	for range 50 {
		c.Advance(tickets.Life/2 + 1)
		ticketstest.Issue(t, k, node)
	}
	_, err := k.Claim(t.Context(), first, tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "no such token")
	if _, err := k.Session(t.Context(), s.Secret); err != nil {
		t.Errorf("fetching the boot script over and over threw the agent out: %v", err)
	}
}

func TestSessionsSurviveARestartAndSecretsAreNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	file := openStore(t, path)
	k := tickets.New(file, nil)
	token := ticketstest.Issue(t, k, node)
	s := ticketstest.Claim(t, k, token, "nonce")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	file = openStore(t, path)
	k = tickets.New(file, nil)
	if m, err := k.Session(t.Context(), s.Secret); m != node || err != nil {
		t.Errorf("got %s, %v", m, err)
	}
	if again := ticketstest.Claim(t, k, token, "nonce"); again != s {
		t.Errorf("got %+v, want %+v", again, s)
	}
	for _, bucket := range []string{"tickets", "secrets"} {
		file.View(t.Context(), func(tx store.Tx) error {
			return tx.Scan(bucket, "", "", func(key string, value []byte) error {
				if text := key + string(value); strings.Contains(text, token) || strings.Contains(text, s.Secret) || strings.Contains(text, "nonce\"") && strings.Contains(text, `"nonce":"nonce"`) {
					t.Errorf("bucket %s has a secret in clear: %s", bucket, text)
				}
				return nil
			})
		})
	}
}

// TestASilentSessionIsReplaced: a machine that crashed, and comes back at another
// address without a packet from its firmware, is let in after some minutes.
func TestASilentSessionIsReplaced(t *testing.T) {
	k, c := newTickets(t)
	s, err := k.Claim(t.Context(), ticketstest.Issue(t, k, node), at("n", "10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // it reports
		c.Advance(4 * time.Minute)
		if _, err := k.Session(t.Context(), s.Secret); err != nil {
			t.Fatal(err)
		}
	}
	token := ticketstest.Issue(t, k, node)
	c.Advance(4 * time.Minute)
	_, err = k.Claim(t.Context(), token, at("other", "10.0.0.9"))
	ticketstest.Refused(t, err, "an agent at 10.0.0.1")
	c.Advance(time.Minute)
	if _, err := k.Claim(t.Context(), token, at("other", "10.0.0.9")); err != nil {
		t.Error(err)
	}
}

// TestIssuedTokens: an unclaimed token says whose it is, and whether its holder could end
// an install that runs.
func TestIssuedTokens(t *testing.T) {
	k, c := newTickets(t)
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	token := ticketstest.Issue(t, k, node)
	if mac, may, err := k.Issued(t.Context(), token, tickets.Claimant{Addr: there}); mac != node || !may || err != nil {
		t.Errorf("got %s, %t, %v", mac, may, err)
	}
	if _, err := k.Claim(t.Context(), token, tickets.Claimant{Nonce: "n", Addr: here}); err != nil {
		t.Fatal(err)
	}
	_, _, err := k.Issued(t.Context(), token, tickets.Claimant{Addr: here})
	ticketstest.Refused(t, err, "was claimed")
	next := ticketstest.Issue(t, k, node)
	for addr, want := range map[netip.Addr]bool{here: true, there: false} {
		if _, may, err := k.Issued(t.Context(), next, tickets.Claimant{Addr: addr}); may != want || err != nil {
			t.Errorf("from %s: %t, %v", addr, may, err)
		}
	}
	c.Advance(tickets.Life)
	_, _, err = k.Issued(t.Context(), next, tickets.Claimant{Addr: here})
	ticketstest.Refused(t, err, "was valid until")
	_, _, err = k.Issued(t.Context(), "", tickets.Claimant{})
	ticketstest.Refused(t, err, "not issued here")
}
