package serving

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestLeasesShareWrites: what waits goes into one write.
func TestLeasesShareWrites(t *testing.T) {
	store := &countingStore{}
	c := NewCommitter(store, time.Now, slog.New(slog.DiscardHandler), "none are given")
	var waiting []change
	for n := range byte(20) {
		m := dhcptest.MAC(n)
		ch := change{dhcp.LeaseChange{Lease: dhcp.Lease{Addr: dhcptest.IP(n), MAC: m[:]}, Client: m[:]}, make(chan committed, 1)}
		waiting = append(waiting, ch)
		c.changes <- ch
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run()
	}()
	for _, ch := range waiting {
		if o := <-ch.done; o.err != nil || !o.Made {
			t.Errorf("commit: %v", o)
		}
	}
	c.End()
	<-ended
	leases := dhcptest.Stored(store)
	if len(leases) != 20 || store.writes != 1 {
		t.Errorf("%d leases stored in %d writes, want 20 in one", len(leases), store.writes)
	}
}

// TestASilentStore holds no packet for ever: while a write hangs, the others fail at
// once, nothing new is offered, and the log says so once.
func TestASilentStore(t *testing.T) {
	store := &dhcptest.SlowStore{Began: make(chan struct{}), GoOn: make(chan struct{})}
	clock, log := dhcptest.NewClock(), &dhcptest.Log{}
	c := NewCommitter(store, clock.Now, log.Logger(), "none are given")
	running := make(chan struct{})
	go func() {
		defer close(running)
		c.Run()
	}()
	m := dhcptest.MAC(1)
	first := change{dhcp.LeaseChange{Lease: dhcp.Lease{Addr: dhcptest.IP(1), MAC: m[:]}, Client: m[:]}, make(chan committed, 1)}
	c.changes <- first
	<-store.Began
	if !c.MayOffer() {
		t.Error("nothing is offered while a write runs")
	}
	clock.Forward(commitTimeout)
	for range 3 {
		if _, err := c.Commit(first.LeaseChange); !errors.Is(err, errStoreSilent) {
			t.Errorf("error %v", err)
		}
		clock.Forward(failurePause)
		if c.MayOffer() {
			t.Error("something is offered while the store is silent")
		}
	}
	close(store.GoOn)
	if end := <-first.done; end.err != nil || !end.Made {
		t.Errorf("the write ended with %v", end)
	}
	if !c.MayOffer() {
		t.Error("nothing is offered after the store is back")
	}
	c.End()
	<-running
	for _, what := range []string{"leases cannot be stored", "leases can be stored again"} {
		if lines := log.Lines(what); len(lines) != 1 {
			t.Errorf("the log says %q: %q", what, lines)
		}
	}
}

// countingStore counts writes.
type countingStore struct {
	dhcp.MemoryLeases
	writes int
}

func (c *countingStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	c.writes++
	return c.MemoryLeases.Commit(ctx, now, changes)
}
