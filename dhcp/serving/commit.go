package serving

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// maxBatch is how many leases may share one write.
	maxBatch = 256
	// maxUncommitted is how many changes may wait for a write.
	maxUncommitted = 4096
	// batchGap is how long the writer waits after a write that several changes
	// shared. While a rack is switched on, each write then has more of them, and
	// there are fewer writes.
	batchGap = 10 * time.Millisecond
	// commitTimeout bounds a write, and how long a packet waits for its own.
	// Clients ask again after some seconds.
	commitTimeout = 5 * time.Second
	// failurePause is how long nothing new is offered after a write failed. The
	// next offer after that finds out whether the store is back.
	failurePause = 5 * time.Second
)

var (
	// errStoreSilent is the error of a change for which the store took too long.
	errStoreSilent = errors.New("the lease store did not answer in time")
	// ErrCrowded is the error of a change before which too many others wait.
	ErrCrowded = errors.New("too many leases wait to be stored")
)

// change is a change of the leases that waits to be made.
type change struct {
	dhcp.LeaseChange
	since time.Time
	told  func(dhcp.LeaseOutcome, error) // nil if nobody waits for it any more
}

// end is how a change ended, for who waits for it.
type end struct {
	told    func(dhcp.LeaseOutcome, error)
	outcome dhcp.LeaseOutcome
	err     error
}

// Committer makes changes in the store, in the order in which they came. A
// durable write takes milliseconds however small it is, so all changes that
// arrive during one write share the next.
type Committer struct {
	store  dhcp.LeaseStore
	now    func() time.Time
	log    *slog.Logger
	effect string // of a failure, for the log

	wake     chan struct{} // has room for one
	ending   chan struct{}
	ends     chan []end
	patience *time.Timer // runs out when a change has waited for too long

	mu       sync.Mutex
	waiting  []*change
	inWrite  []*change // those of the write that runs
	armed    bool      // patience runs
	failed   time.Time // when a write failed; zero if the last one did not
	writing  time.Time // since when a write runs; zero if none does
	hasEnded bool
}

// NewCommitter makes a committer. Its Run must run while anyone calls Commit or
// Submit. effect says for the log what it means that leases cannot be stored.
func NewCommitter(store dhcp.LeaseStore, now func() time.Time, log *slog.Logger, effect string) *Committer {
	c := &Committer{
		store: store, now: now, log: log, effect: effect,
		wake: make(chan struct{}, 1), ending: make(chan struct{}), ends: make(chan []end, 1), patience: time.NewTimer(commitTimeout),
	}
	c.patience.Stop()
	return c
}

// Commit returns when a change is durable, could not be made, or has failed. After
// an error it may all the same have been made.
func (c *Committer) Commit(ch dhcp.LeaseChange) (dhcp.LeaseOutcome, error) {
	var outcome dhcp.LeaseOutcome
	var failure error
	told := make(chan struct{})
	c.Submit(ch, func(o dhcp.LeaseOutcome, err error) {
		outcome, failure = o, err
		close(told)
	})
	<-told
	return outcome, failure
}

// Submit is Commit for those who do not wait: it has told called once, with what Commit
// returns. That may be before Submit returns. What told does holds up the answers to
// others.
func (c *Committer) Submit(ch dhcp.LeaseChange, told func(dhcp.LeaseOutcome, error)) {
	if err := c.add(&change{LeaseChange: ch, told: told}); err != nil {
		told(dhcp.LeaseOutcome{}, err)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Committer) add(ch *change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.isSilent():
		c.note(errStoreSilent)
		return errStoreSilent
	case len(c.waiting) >= maxUncommitted:
		return ErrCrowded
	}
	ch.since = c.now()
	c.waiting = append(c.waiting, ch)
	if !c.armed {
		c.armed = true
		c.patience.Reset(commitTimeout)
	}
	return nil
}

// isSilent says whether a write runs that has not ended in its time, as with a disk
// that hangs. Then no packet waits for the store. The caller holds mu.
func (c *Committer) isSilent() bool {
	return !c.writing.IsZero() && c.now().Sub(c.writing) >= commitTimeout
}

// MayOffer says whether something new may be offered: not while the store is silent,
// and not right after a write failed.
func (c *Committer) MayOffer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.isSilent() && (c.failed.IsZero() || c.now().Sub(c.failed) >= failurePause)
}

// note notes how a write ended, and says when the store fails and is back. The caller
// holds mu.
func (c *Committer) note(err error) {
	switch {
	case err == nil && !c.failed.IsZero():
		c.log.Info("leases can be stored again")
		c.failed = time.Time{}
	case err != nil:
		if c.failed.IsZero() {
			c.log.Error("leases cannot be stored: "+c.effect+"; see that the store's disk is there and not full, or that it can be reached", "error", err)
		}
		c.failed = c.now()
	}
}

// End makes Run return when it has written what waits. No Commit or Submit may run
// beside it or after it.
func (c *Committer) End() {
	c.mu.Lock()
	c.hasEnded = true
	c.mu.Unlock()
	close(c.ending)
}

// Run makes changes until End is called.
func (c *Committer) Run() {
	var telling sync.WaitGroup
	telling.Go(c.tell)
	for {
		batch, ended := c.gather()
		switch {
		case len(batch) > 0:
			c.write(batch)
		case ended:
			close(c.ends)
			telling.Wait()
			return
		default:
			c.await(c.wake, nil)
		}
		if len(batch) > 1 {
			gap := time.NewTimer(batchGap)
			c.await(nil, gap.C)
			gap.Stop()
		}
	}
}

// await waits for one of two channels, or for the end.
func (c *Committer) await(woken <-chan struct{}, passed <-chan time.Time) {
	select {
	case <-woken:
	case <-passed:
	case <-c.ending:
	}
}

// gather takes the changes that wait, as many as may share a write.
func (c *Committer) gather() (batch []*change, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), maxBatch)
	batch = c.waiting[:n:n]
	if c.waiting = c.waiting[n:]; len(c.waiting) == 0 {
		c.waiting = nil
	}
	return batch, c.hasEnded
}

// write makes the changes of a batch.
func (c *Committer) write(batch []*change) {
	changes := make([]dhcp.LeaseChange, len(batch))
	for i, ch := range batch {
		changes[i] = ch.LeaseChange
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	outcomes, err := c.store.Commit(ctx, c.begin(batch), changes)
	c.ends <- c.finish(outcomes, err)
}

// begin notes that a write begins.
func (c *Committer) begin(batch []*change) (now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing, c.inWrite = c.now(), batch
	return c.writing
}

// finish notes that a write has ended, and returns how its changes ended for those who
// still wait.
func (c *Committer) finish(outcomes []dhcp.LeaseOutcome, err error) (ends []end) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, ch := range c.inWrite {
		e := end{told: ch.told, err: err}
		if err == nil {
			e.outcome = outcomes[i]
		}
		if ch.told != nil {
			ends = append(ends, e)
		}
	}
	c.writing, c.inWrite = time.Time{}, nil
	c.note(err)
	return ends
}

// tell tells those who wait how their changes ended, while the next write runs.
func (c *Committer) tell() {
	for {
		var ends []end
		select {
		case of, open := <-c.ends:
			if !open {
				c.patience.Stop()
				return
			}
			ends = of
		case <-c.patience.C:
			ends = c.giveUp()
		}
		for _, e := range ends {
			e.told(e.outcome, e.err)
		}
	}
}

// giveUp returns those who have waited for too long. A change by which a client gives
// its address back is made all the same when its turn comes.
func (c *Committer) giveUp() (ends []end) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var oldest *change // of those that go on waiting
	for _, list := range [][]*change{c.inWrite, c.waiting} {
		for _, ch := range list {
			switch {
			case ch.told == nil:
			case now.Sub(ch.since) >= commitTimeout:
				ends = append(ends, end{told: ch.told, err: errStoreSilent})
				ch.told = nil
			case oldest == nil:
				oldest = ch
			}
		}
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(ch *change) bool { return ch.told == nil && !ch.Held })
	if c.armed = oldest != nil; c.armed {
		c.patience.Reset(commitTimeout - now.Sub(oldest.since))
	}
	if len(ends) > 0 {
		c.note(errStoreSilent)
	}
	return ends
}
