package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// simulatedCard is a network card that has a carrier after a time, and the server's
// answer to it.
type simulatedCard struct {
	carrier time.Duration
	answer  func(asked int) error
}

// The cards of a simulated machine.
const (
	card1 provision.MAC = "52:54:00:00:00:01"
	card2 provision.MAC = "52:54:00:00:00:02"
)

// found is how a search ended.
type found struct {
	card  provision.MAC
	took  time.Duration
	tries map[provision.MAC]int
	err   error
}

// searchAmong searches simulated cards on a simulated clock.
func searchAmong(t *testing.T, cards map[provision.MAC]simulatedCard) found {
	t.Helper()
	f := found{tries: make(map[provision.MAC]int)}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		look := func() (ready, dark []provision.MAC) {
			for card, c := range cards {
				if time.Since(start) >= c.carrier {
					ready = append(ready, card)
				} else {
					dark = append(dark, card)
				}
			}
			slices.Sort(ready)
			return ready, dark
		}
		_, told, err := search{
			cards: func(ctx context.Context) (ready, dark []provision.MAC, err error) {
				for err == nil && len(ready) == 0 {
					ready, dark = look()
					err = pause.For(ctx, 100*time.Millisecond)
				}
				return ready, dark, err
			},
			try: func(_ context.Context, card provision.MAC) (*uplink.Link, wire.Params, error) {
				f.tries[card]++
				return nil, wire.Params{MAC: card}, cards[card].answer(f.tries[card])
			},
			log: slog.New(slog.DiscardHandler),
		}.run(t.Context())
		f.card, f.took, f.err = told.MAC, time.Since(start), err
	})
	return f
}

// The answers to a card.
func installs(int) error { return nil }
func refuses(int) error  { return client.Leave{Reason: "nobody knows it"} }
func isDown(int) error   { return errors.New("no answer") }

// TestSlowCard: a card that the server does not know has its carrier first. The search
// waits for the one that the machine's file names, and does not ask about the first
// again.
func TestSlowCard(t *testing.T) {
	f := searchAmong(t, map[provision.MAC]simulatedCard{card1: {0, refuses}, card2: {20 * time.Second, installs}})
	if f.err != nil || f.card != card2 || f.tries[card1] != 1 {
		t.Errorf("it installs by %q after the tries %v: %v", f.card, f.tries, f.err)
	}
}

// TestRefusedCards: the search ends when no card is left that the server may know: at
// once if all are refused, and after a while if others have no carrier.
func TestRefusedCards(t *testing.T) {
	for name, test := range map[string]struct {
		cards       map[provision.MAC]simulatedCard
		least, most time.Duration
	}{
		"one":                 {map[provision.MAC]simulatedCard{card1: {0, refuses}}, 0, time.Second},
		"both":                {map[provision.MAC]simulatedCard{card1: {0, refuses}, card2: {0, refuses}}, 0, time.Second},
		"other without cable": {map[provision.MAC]simulatedCard{card1: {time.Minute, refuses}, card2: {time.Hour, installs}}, 90 * time.Second, 93 * time.Second},
		"other without DHCP":  {map[provision.MAC]simulatedCard{card1: {0, refuses}, card2: {0, isDown}}, client.Patience, client.Patience + time.Second},
	} {
		f := searchAmong(t, test.cards)
		if _, no := errors.AsType[client.Leave](f.err); !no || !strings.Contains(f.err.Error(), string(card1)) || f.tries[card1] != 1 {
			t.Errorf("%s: %v, after the tries %v; want one, and that the server refuses it", name, f.err, f.tries)
		}
		if f.took < test.least || f.took > test.most {
			t.Errorf("%s: it took %s, want %s to %s", name, f.took, test.least, test.most)
		}
	}
}

// TestServerComesLate: a server that is away for some minutes ends no search.
func TestServerComesLate(t *testing.T) {
	late := func(asked int) error {
		if asked < 300 {
			return errors.New("no answer")
		}
		return nil
	}
	f := searchAmong(t, map[provision.MAC]simulatedCard{card1: {0, late}})
	if f.card != card1 || f.took < 5*time.Minute {
		t.Errorf("it installs by %q after %s: %v", f.card, f.took, f.err)
	}
}

// roundTripper answers requests without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestServerGoesAwayWhileItPacks: a server that has said to ask again may be away for
// some minutes.
func TestServerGoesAwayWhileItPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, back := 0, time.Now().Add(5*time.Minute)
		server := client.New("http://10.0.0.1", slog.New(slog.DiscardHandler))
		server.Patience = contactPatience
		server.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			answer := `{"again": "the image is being packed"}`
			if asked > 1 && time.Now().Before(back) {
				return nil, errors.New("connection refused")
			} else if asked > 1 {
				answer = `{"cmdline": "` + wire.Params{Servers: []string{"http://10.0.0.1"}, MAC: card1, Token: "secret"}.Cmdline() + `"}`
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
		})}
		if told, err := server.Ask(t.Context(), card1); err != nil || told.Token != "secret" {
			t.Errorf("it is told %+v: %v", told, err)
		}
	})
}
