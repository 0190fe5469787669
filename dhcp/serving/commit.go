package serving

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cloudlets/dhcp"
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
	dhcp.LeaseChange
	done chan committed // has room for one
}

// committed is how a change ended.
type committed struct {
	dhcp.LeaseOutcome
	err error
}

// Committer makes changes in the store, in the order in which they came. A
// durable write takes milliseconds however small it is, so all changes that
// arrive during one write share the next.
type Committer struct {
	store   dhcp.LeaseStore
	now     func() time.Time
	log     *slog.Logger
	effect  string // of a failure, for the log
	changes chan change

	mu      sync.Mutex
	failed  time.Time // when a write failed; zero if the last one did not
	writing time.Time // since when a write runs; zero if none does
}

// NewCommitter makes a committer. Its Run must run while anyone calls Commit.
// effect says for the log what it means that leases cannot be stored.
func NewCommitter(store dhcp.LeaseStore, now func() time.Time, log *slog.Logger, effect string) *Committer {
	return &Committer{store: store, now: now, log: log, effect: effect, changes: make(chan change, maxBatch)}
}

// Commit returns when a change is durable, could not be made, or has failed. After
// an error it may all the same have been made.
func (c *Committer) Commit(ch dhcp.LeaseChange) (dhcp.LeaseOutcome, error) {
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

func (c *Committer) giveUp() (dhcp.LeaseOutcome, error) {
	c.note(errStoreSilent)
	return dhcp.LeaseOutcome{}, errStoreSilent
}

// isSilent says whether a write runs that has not ended in its time, as with a disk
// that hangs. Then no packet waits for the store.
func (c *Committer) isSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.writing.IsZero() && c.now().Sub(c.writing) >= commitTimeout
}

// MayOffer says whether something new may be offered: not while the store is silent,
// and not right after a write failed.
func (c *Committer) MayOffer() bool {
	if c.isSilent() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed.IsZero() || c.now().Sub(c.failed) >= failurePause
}

// note notes how a write ended, and says when the store fails and is back.
func (c *Committer) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
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

// End makes run return when it has written what waits. No Commit may run
// beside it or after it.
func (c *Committer) End() { close(c.changes) }

// Run makes changes until end is called.
func (c *Committer) Run() {
	for first := range c.changes {
		c.write(c.gather(first))
	}
}

// gather takes the changes that wait already.
func (c *Committer) gather(first change) []change {
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
func (c *Committer) write(batch []change) {
	changes := make([]dhcp.LeaseChange, len(batch))
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

func (c *Committer) setWriting(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = since
}
