package dhcp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxBatch is how many leases may share one write.
	maxBatch = 256
	// commitTimeout bounds a write, and how long a packet waits for its own.
	// Clients ask again after some seconds.
	commitTimeout = 5 * time.Second
	// failurePause is how long nothing new is offered after a write failed. The
	// next offer after that finds out whether the store is back.
	failurePause = 5 * time.Second
)

// errStoreSilent is the error of a change for which the store took too long.
var errStoreSilent = errors.New("the lease store did not answer in time")

// change is a change of the leases that waits to be made.
type change struct {
	LeaseChange
	done chan committed // has room for one
}

// committed is how a change ended.
type committed struct {
	LeaseOutcome
	err error
}

// committer makes changes in the store, in the order in which they came. A
// durable write takes milliseconds however small it is, so all changes that
// arrive during one write share the next.
type committer struct {
	store   LeaseStore
	now     func() time.Time
	log     *slog.Logger
	changes chan change

	mu      sync.Mutex
	failed  time.Time // when a write failed; zero if the last one did not
	writing time.Time // since when a write runs; zero if none does
}

func newCommitter(s *Server) *committer {
	return &committer{store: s.Leases, now: s.Now, log: s.Log, changes: make(chan change, maxBatch)}
}

// commit returns when a change is durable, could not be made, or has failed. After
// an error it may all the same have been made.
func (c *committer) commit(ch LeaseChange) (LeaseOutcome, error) {
	if c.isSilent() {
		return c.giveUp()
	}
	patience := time.NewTimer(commitTimeout)
	defer patience.Stop()
	waiting := change{ch, make(chan committed, 1)}
	select {
	case c.changes <- waiting:
	case <-patience.C:
		return c.giveUp()
	}
	select {
	case end := <-waiting.done:
		return end.LeaseOutcome, end.err
	case <-patience.C:
		return c.giveUp()
	}
}

func (c *committer) giveUp() (LeaseOutcome, error) {
	c.note(errStoreSilent)
	return LeaseOutcome{}, errStoreSilent
}

// isSilent says whether a write runs that has not ended in its time, as with a disk
// that hangs. Then no packet waits for the store.
func (c *committer) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.writing.IsZero() && c.now().Sub(c.writing) >= commitTimeout
}

// mayOffer says whether something new may be offered: not while the store is silent,
// and not right after a write failed.
func (c *committer) mayOffer() bool {
	if c.isSilent() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed.IsZero() || c.now().Sub(c.failed) >= failurePause
}

// note notes how a write ended, and says when the store fails and is back.
func (c *committer) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil && !c.failed.IsZero():
		c.log.Info("leases can be stored again")
		c.failed = time.Time{}
	case err != nil:
		if c.failed.IsZero() {
			c.log.Error("leases cannot be stored: those that exist are confirmed while they last, and no new ones are given; see that the store's disk is there and not full, or that it can be reached", "error", err)
		}
		c.failed = c.now()
	}
}

// end makes run return when it has written what waits. No commit may run
// beside it or after it.
func (c *committer) end() { close(c.changes) }

// run makes changes until end is called.
func (c *committer) run() {
	for first := range c.changes {
		c.write(c.gather(first))
	}
}

// gather takes the changes that wait already.
func (c *committer) gather(first change) []change {
	batch := []change{first}
	for len(batch) < maxBatch {
		select {
		case ch, open := <-c.changes:
			if !open {
				return batch
			}
			batch = append(batch, ch)
		default:
			return batch
		}
	}
	return batch
}

// write makes the changes of a batch, and tells those who wait.
func (c *committer) write(batch []change) {
	changes := make([]LeaseChange, len(batch))
	for i, ch := range batch {
		changes[i] = ch.LeaseChange
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	now := c.now()
	c.setWriting(now)
	outcomes, err := c.store.Commit(ctx, now, changes)
	c.setWriting(time.Time{})
	c.note(err)
	for i, ch := range batch {
		end := committed{err: err}
		if err == nil {
			end.LeaseOutcome = outcomes[i]
		}
		ch.done <- end
	}
}

func (c *committer) setWriting(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = since
}
