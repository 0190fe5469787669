package httpboot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"testing"

	"cloudlets/provision/wire"
)

// TestTurns: so many have their turn at once, some more wait, and all others are told
// to ask again.
func TestTurns(t *testing.T) {
	var turns turns
	var running []func()
	const most, queue = 5, 70
	for range most {
		done, err := turns.take(t.Context(), most, queue)
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, done)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	for range queue {
		go func() {
			_, err := turns.take(ctx, most, queue)
			ended <- err
		}()
	}
	for !turns.full(most, queue) { // until they all wait
		runtime.Gosched()
	}
	if _, err := turns.take(t.Context(), most, queue); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	stop()
	for range queue {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("one that has hung up: %v", err)
		}
	}
	if turns.full(most, queue) {
		t.Error("there seems to be no room although nobody waits")
	}
	running[0]()
	done, err := turns.take(t.Context(), most, queue)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range append(running[1:], done) {
		end()
	}
}

// TestBusyServerKeepsNoConnections: an agent that has to come again keeps none of the
// connections that others need, and its token is as good as before.
func TestBusyServerKeepsNoConnections(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	request := b.request(node1)
	b.claims.bound(claimBounds())
	for range cap(b.claims.waiting) {
		b.claims.waiting <- struct{}{}
	}
	body, err := json.Marshal(request)
	must(t, err)
	answer, err := http.Post(b.http.URL+wire.ClaimPath, "application/json", bytes.NewReader(body))
	must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !answer.Close || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the answer is %s, with %v; close: %t", answer.Status, answer.Header, answer.Close)
	}
	for range cap(b.claims.waiting) {
		<-b.claims.waiting
	}
	b.claimAs(request)
}
