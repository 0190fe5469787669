package httpboot

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
)

// openStore is a store on a disk, closed when the test ends.
func openStore(t *testing.T) *store.File {
	t.Helper()
	kept, err := store.OpenFile(filepath.Join(t.TempDir(), "test.db"))
	must(t, err)
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept
}

// TestBootStorm: a rack is switched on. Each machine gets a script with a token
// of its own, while DHCP asks the chain about them, too.
func TestBootStorm(t *testing.T) {
	const machines = stormMachines
	b := newBed(t, nil)
	b.Tickets = tickets.New(openStore(t), nil)
	for i := range machines {
		b.change(rackMAC(i), func(*provision.Spec) {})
	}
	b.kit(node1)
	tokens := make([]string, machines)
	var group sync.WaitGroup
	for i := range machines {
		group.Go(func() {
			boot := b.Boot(t.Context(), bootClient(rackMAC(i)))
			tokens[i] = b.tokenAt(t, boot.File)
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for i, token := range tokens {
		if len(token) != 32 || seen[token] {
			t.Errorf("machine %d has the token %q", i, token)
		}
		seen[token] = true
	}
}

func rackMAC(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:01:%02x:%02x", i>>8, i&0xff))
}

// tokenAt asks the handler itself: 500 sockets are no part of the test.
func (b *bed) tokenAt(t *testing.T, url string) string {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(url, b.Base), nil)
	b.Handler().ServeHTTP(w, r)
	_, rest, _ := strings.Cut(w.Body.String(), "cloudlets.token=")
	token, _, _ := strings.Cut(rest, " ")
	return token
}

// TestClientGone: a machine that hangs up while its image is packed is not told
// in its trace that the image is broken.
func TestClientGone(t *testing.T) {
	b := newBed(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/boot/"+string(node1)+"/script", nil)
	b.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if story := b.trace(node1); strings.Contains(story, "cannot be booted") || !strings.Contains(story, "told to ask again") {
		t.Errorf("the trace says:\n%s", story)
	}
}

// writeCounter counts the writes of a store.
type writeCounter struct {
	store.Store
	writes atomic.Int64
}

func (c *writeCounter) Update(ctx context.Context, write func(store.Tx) error) error {
	c.writes.Add(1)
	return c.Store.Update(ctx, write)
}

// TestExchangesDoNotWaitForTheStore: however many packets come, those who
// answer them do not write.
func TestExchangesDoNotWaitForTheStore(t *testing.T) {
	b := newBed(t, nil)
	store := &writeCounter{Store: &store.Memory{}}
	var err error
	b.Tracker, err = track.NewTracker(store, track.Options{})
	must(t, err)
	for i := range 5000 {
		b.SawExchange(dhcp.Exchange{Client: bootClient(rackMAC(i)), Request: "DISCOVER", Reason: "a flood"})
	}
	if n := store.writes.Load(); n != 0 {
		t.Errorf("5000 exchanges waited for %d writes", n)
	}
}
