package serving

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestLeasesShareWrites: what waits goes into one write.
func TestLeasesShareWrites(t *testing.T) {
	store := &countingStore{}
	c := NewCommitter(store, time.Now, slog.New(slog.DiscardHandler), "none are given")
	told := make(chan committed, 20)
	for n := range byte(20) {
		m := dhcptest.MAC(n)
		ch := dhcp.LeaseChange{Lease: dhcp.Lease{Addr: dhcptest.IP(n), MAC: m[:]}, Client: m[:]}
		c.Submit(ch, func(o dhcp.LeaseOutcome, err error) { told <- committed{o, err} })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run()
	}()
	for range 20 {
		if o := <-told; o.err != nil || !o.Made {
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

// TestASilentStore: while a write hangs, changes fail at once, nothing new is offered,
// and the log says so once.
func TestASilentStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := &hangingStore{let: make(chan struct{})}, &dhcptest.Log{}
		s := &submitter{c: NewCommitter(store, time.Now, log.Logger(), "none are given")}
		var running sync.WaitGroup
		running.Go(s.c.Run)
		s.submit(1)
		synctest.Wait()
		if !s.c.MayOffer() {
			t.Error("nothing is offered while a write runs")
		}
		time.Sleep(commitTimeout)
		for range 3 {
			if _, err := s.c.Commit(dhcp.LeaseChange{}); !errors.Is(err, errStoreSilent) {
				t.Errorf("error %v", err)
			}
			time.Sleep(failurePause)
			if s.c.MayOffer() {
				t.Error("something is offered while the store is silent")
			}
		}
		close(store.let)
		synctest.Wait()
		if !s.c.MayOffer() {
			t.Error("nothing is offered after the store is back")
		}
		s.c.End()
		running.Wait()
		for _, what := range []string{"leases cannot be stored", "leases can be stored again"} {
			if lines := log.Lines(what); len(lines) != 1 {
				t.Errorf("the log says %q: %q", what, lines)
			}
		}
	})
}

// hangingStore writes when it is let, and notes how many changes each write had.
type hangingStore struct {
	dhcp.MemoryLeases
	let    chan struct{}
	writes []int
}

func (s *hangingStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	<-s.let
	s.writes = append(s.writes, len(changes))
	return s.MemoryLeases.Commit(context.WithoutCancel(ctx), now, changes) // as a disk that goes on
}

// withCommitter runs a committer on a store that hangs until it is let.
func withCommitter(t *testing.T, test func(*hangingStore, *submitter)) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingStore{let: make(chan struct{})}
		c := NewCommitter(store, time.Now, slog.New(slog.DiscardHandler), "none are given")
		var running sync.WaitGroup
		running.Go(c.Run)
		test(store, &submitter{c: c})
		c.End()
		running.Wait()
	})
}

// submitter submits changes of one client after another, and notes how they ended.
type submitter struct {
	c    *Committer
	next byte

	mu    sync.Mutex
	ended []error
}

func (s *submitter) submit(n int) {
	for range n {
		m := dhcptest.MAC(s.next)
		ch := dhcp.LeaseChange{Lease: dhcp.Lease{Addr: dhcptest.IP(s.next), MAC: m[:]}, Client: m[:]}
		s.next++
		s.c.Submit(ch, func(_ dhcp.LeaseOutcome, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = append(s.ended, err)
		})
	}
}

// wait waits until nothing happens any more, and returns how the changes ended so far.
func (s *submitter) wait() []error {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended)
}

// TestNobodyWaitsForASilentStore: who waits for a write that hangs, or for the next one,
// is told so in time, and told once, whatever becomes of the write.
func TestNobodyWaitsForASilentStore(t *testing.T) {
	withCommitter(t, func(store *hangingStore, s *submitter) {
		s.submit(1)
		synctest.Wait()
		s.submit(2)
		time.Sleep(commitTimeout - time.Millisecond)
		if ended := s.wait(); len(ended) != 0 {
			t.Errorf("told too early: %v", ended)
		}
		time.Sleep(time.Millisecond)
		s.submit(1) // while it is silent
		if ended := s.wait(); !slices.Equal(ended, []error{errStoreSilent, errStoreSilent, errStoreSilent, errStoreSilent}) {
			t.Errorf("told %v", ended)
		}
		close(store.let)
		synctest.Wait()
		s.submit(1)
		if ended := s.wait(); len(ended) != 5 || ended[4] != nil || !slices.Equal(store.writes, []int{1, 1}) {
			t.Errorf("when the store is back: told %v, %v leases written", ended, store.writes)
		}
	})
}

// farStore is a store that cannot be reached: a write ends with its context.
type farStore struct{ dhcp.MemoryLeases }

func (s *farStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestNobodyWaitsBehindOthers: of changes that need several writes, all end in time, even
// if each write takes its whole time to fail.
func TestNobodyWaitsBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &submitter{c: NewCommitter(&farStore{}, time.Now, slog.New(slog.DiscardHandler), "none are given")}
		var running sync.WaitGroup
		running.Go(s.c.Run)
		s.submit(1)
		time.Sleep(commitTimeout / 2)
		s.submit(4 * maxBatch)
		for _, want := range []int{1, 1 + 4*maxBatch} {
			time.Sleep(commitTimeout / 2)
			if ended := s.wait(); len(ended) != want || slices.Contains(ended, nil) {
				t.Errorf("%d have ended, want %d", len(ended), want)
			}
		}
		s.c.End()
		running.Wait()
	})
}

// TestWhatIsGivenBackIsStored: a client does not wait for what becomes of its RELEASE, and
// a store that was silent for a time has it all the same.
func TestWhatIsGivenBackIsStored(t *testing.T) {
	withCommitter(t, func(store *hangingStore, s *submitter) {
		s.submit(1)
		synctest.Wait()
		m := dhcptest.MAC(0)
		released := dhcp.LeaseChange{Lease: dhcp.Lease{Addr: dhcptest.IP(0), MAC: m[:], Hostname: "released"}, Client: m[:], Held: true}
		var told error
		s.c.Submit(released, func(_ dhcp.LeaseOutcome, err error) { told = err })
		s.submit(1)
		time.Sleep(commitTimeout)
		if ended := s.wait(); len(ended) != 2 || !errors.Is(told, errStoreSilent) {
			t.Errorf("after the time of a write: %v, %v", ended, told)
		}
		close(store.let)
		synctest.Wait()
		leases := dhcptest.Stored(store)
		if len(leases) != 1 || leases[0].Hostname != "released" {
			t.Errorf("stored: %+v", leases)
		}
	})
}

// TestABurstHasFewWrites: a change that comes alone is written at once, and those of a
// burst share their writes.
func TestABurstHasFewWrites(t *testing.T) {
	withCommitter(t, func(store *hangingStore, s *submitter) {
		close(store.let)
		for range 3 {
			s.submit(1)
			if ended := s.wait(); ended[len(ended)-1] != nil || store.writes[len(store.writes)-1] != 1 {
				t.Errorf("one alone: %v, writes of %v", ended, store.writes)
			}
		}
		store.writes = nil
		for range 40 {
			s.submit(2)
			time.Sleep(batchGap / 4)
		}
		time.Sleep(batchGap)
		if ended := s.wait(); len(ended) != 3+80 || len(store.writes) > 11 {
			t.Errorf("a burst: %d told, writes of %v", len(ended), store.writes)
		}
	})
}

// TestTooManyWait: what waits for the store is bounded.
func TestTooManyWait(t *testing.T) {
	withCommitter(t, func(store *hangingStore, s *submitter) {
		s.submit(1)
		synctest.Wait()
		s.submit(maxUncommitted + 1)
		if ended := s.wait(); !slices.Equal(ended, []error{ErrCrowded}) {
			t.Errorf("told %v", ended)
		}
		close(store.let)
		time.Sleep(time.Minute)
		if ended := s.wait(); len(ended) != maxUncommitted+2 || slices.ContainsFunc(ended[1:], func(err error) bool { return err != nil }) {
			t.Errorf("then %d are told", len(ended))
		}
	})
}

// committed is how a change ended.
type committed struct {
	dhcp.LeaseOutcome
	err error
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
