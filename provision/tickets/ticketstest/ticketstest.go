// Package ticketstest is for tests alone: what an agent does with its ticket, and what a
// refusal says.
package ticketstest

import (
	"errors"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/tickets"
)

// Issue returns a new token of a machine.
func Issue(t testing.TB, k *tickets.Tickets, m provision.MAC) string {
	t.Helper()
	token, err := k.Issue(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if len(token) != 32 { // 128 bits in hexadecimal
		t.Fatalf("token %q", token)
	}
	return token
}

// Claim claims an install by a token.
func Claim(t testing.TB, k *tickets.Tickets, token, nonce string) tickets.Session {
	t.Helper()
	s, err := k.Claim(t.Context(), token, tickets.Claimant{Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Refused wants an error to be a refusal that says some words.
func Refused(t testing.TB, err error, want ...string) {
	t.Helper()
	if !errors.Is(err, tickets.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
