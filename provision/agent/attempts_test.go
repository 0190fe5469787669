package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// tryout makes attempts whose errors a test says, with a server that answers by a function.
func tryout(outcomes func(a *attempts, token string) error, answer func() string) (*attempts, *[]time.Duration) {
	var times []time.Duration
	begun := time.Now()
	a := &attempts{console: &console{out: io.Discard}}
	a.server = clientOf(func(*http.Request, []byte) (int, string) { return 200, answer() })
	a.attempt = func(_ context.Context, p wire.Params) error {
		times = append(times, time.Since(begun))
		return outcomes(a, p.Token)
	}
	return a, &times
}

func tokenAnswer(order string) string {
	return `{"cmdline": "cloudlets.server=http://boot.test cloudlets.mac=` + string(testMAC) + ` cloudlets.token=new", "order": "` + order + `"}`
}

// TestFailedAttemptsAreRepeated: as often as the plan says, with growing pauses, and
// again once the order is another one.
func TestFailedAttemptsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order, n := "old", 0
		mended := time.Now().Add(time.Hour)
		a, times := tryout(func(a *attempts, token string) error {
			if n++; n > 1 && token != "new" {
				t.Errorf("attempt %d has the token %q", n, token)
			}
			if n == 5 {
				return lastError{errors.New("handed over")}
			}
			failure, again, _ := a.planFailed(errors.New("the disk burns"), 3)
			if again != (n < 4) {
				t.Errorf("after attempt %d there is another one: %t", n, again)
			}
			return failure
		}, func() string {
			if time.Now().After(mended) {
				order = "new"
			}
			return tokenAnswer(order)
		})
		err := a.run(t.Context(), someParams)
		wantError(t, err, "handed over")
		if len(*times) != 5 {
			t.Fatalf("attempts at %v", *times)
		}
		for i, want := range pauses[:3] {
			if waited := (*times)[i+1] - (*times)[i]; waited < want*4/5 || waited > want*6/5 {
				t.Errorf("pause %d took %s, want about %s", i, waited, want)
			}
		}
		if at := (*times)[4]; at < time.Hour || at > time.Hour+2*lookForOrders {
			t.Errorf("the order was mended after an hour, and the next attempt was after %s", at)
		}
	})
}

// TestARefusalIsAskedAboutAgain: nothing is written before a plan is claimed, so there is
// no bound.
func TestARefusalIsAskedAboutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a, times := tryout(func(*attempts, string) error {
			if n++; n <= 20 {
				return client.Refusal{Text: "no disk matches"}
			}
			return lastError{errors.New("handed over")}
		}, func() string {
			if n == 10 && time.Now().Second()%2 == 0 {
				return `{"leave": "the image cannot be read", "mendable": true}`
			}
			return tokenAnswer("o")
		})
		wantError(t, a.run(t.Context(), someParams), "handed over")
		if last := (*times)[20] - (*times)[19]; last < 4*time.Minute || last > 6*time.Minute {
			t.Errorf("the last pause was %s", last)
		}
	})
}

// TestACancelledInstallIsNotTriedAgain: nor is one that a person wants to end with the
// machine switched off.
func TestACancelledInstallIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, times := tryout(func(a *attempts, _ string) error {
			failure, _, _ := a.planFailed(errors.New("called off"), 3)
			return failure
		}, func() string { return `{"leave": "its install was cancelled"}` })
		wantError(t, a.run(t.Context(), someParams), "its install was cancelled")
		if len(*times) != 1 {
			t.Errorf("attempts at %v", *times)
		}
		off := someParams
		off.OnFailure = "poweroff"
		a, _ = tryout(func(*attempts, string) error { return client.Refusal{Text: "no disk matches"} }, func() string { return tokenAnswer("o") })
		wantError(t, a.run(t.Context(), off), "no disk matches")
	})
}

// TestConsoleIsSent: the server gets what was shown, once, and what cannot be sent is
// bounded.
func TestConsoleIsSent(t *testing.T) {
	c := &console{out: io.Discard}
	c.say("the agent is up")
	_, _ = c.Write([]byte("half a "))
	_, _ = c.Write([]byte("line\n\n"))
	if got := strings.Join(c.take(), "|"); got != "cloudlets: the agent is up|half a line" {
		t.Errorf("the console kept %q", got)
	}
	c.setMute(true)
	c.say("the session tells this")
	c.setMute(false)
	for range 3 * wire.MaxConsoleLines {
		c.say(strings.Repeat("x", 3*wire.MaxConsoleLine))
	}
	if lines := c.take(); len(lines) != wire.MaxConsoleLines || len(lines[0]) > wire.MaxConsoleLine {
		t.Errorf("kept %d lines", len(lines))
	}
}
