package httpboot

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"cloudlets/httpboot/turns"
	"cloudlets/provision/wire"
)

// fill takes all the turns of claims, and waits for all that there is room to wait for,
// until leave is called.
func fill(t *testing.T, claims *turns.Turns) (leave func()) {
	t.Helper()
	most, queue := claimBounds()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range most + queue {
		all.Go(func() {
			if done, err := claims.Take(ctx, most, queue); err == nil {
				<-ctx.Done()
				done()
			}
		})
	}
	for !claims.Full(most, queue) { // until they all wait
		runtime.Gosched()
	}
	return func() { stop(); all.Wait() }
}

// TestBusyServerKeepsNoConnections: an agent that has to come again keeps none of the
// connections that others need, and its token is as good as before.
func TestBusyServerKeepsNoConnections(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	request := b.request(node1)
	leave := fill(t, &b.claims)
	body, err := json.Marshal(request)
	must(t, err)
	answer, err := http.Post(b.http.URL+wire.ClaimPath, "application/json", bytes.NewReader(body))
	must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !answer.Close || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the answer is %s, with %v; close: %t", answer.Status, answer.Header, answer.Close)
	}
	leave()
	b.claimAs(request)
}
