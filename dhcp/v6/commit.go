package v6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"cloudlets/dhcp"
)

const (
	// maxBatch is how many leases may share one write.
	maxBatch = 256
	// commitTimeout bounds a write, and how long a packet waits for its own.
	commitTimeout = 5 * time.Second
	// failurePause is how long nothing is written after a write failed.
	failurePause = 5 * time.Second
)

// errUnstored is the error of a change that is not tried, since the last one failed.
var errUnstored = errors.New("the lease store does not take leases now")

// change is a change of the leases that waits to be made.
type change struct {
	dhcp.LeaseChange
	done chan committed // has room for one
}

// committed is how a change ended.
type committed struct {
	outcome dhcp.LeaseOutcome
	err     error
}

// committer makes changes in the store. A durable write takes milliseconds however
// small it is, so all changes that arrive during one write share the next.
type committer struct {
	store   dhcp.LeaseStore
	now     func() time.Time
	log     *slog.Logger
	changes chan change

	mu     sync.Mutex
	failed time.Time // when a write failed; zero if the last one did not
}

// isFailing says whether the store failed just now.
func (c *committer) isFailing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.failed.IsZero() && c.now().Sub(c.failed).Abs() < failurePause
}

// commit returns when a change is durable, could not be made, or has failed. After an
// error it may all the same have been made.
func (c *committer) commit(ctx context.Context, ch dhcp.LeaseChange) (dhcp.LeaseOutcome, error) {
	if c.isFailing() {
		return dhcp.LeaseOutcome{}, errUnstored
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	waiting := change{ch, make(chan committed, 1)}
	select {
	case c.changes <- waiting:
	case <-ctx.Done():
		return dhcp.LeaseOutcome{}, fmt.Errorf("store the lease of %s: %w", ch.Lease.Addr, ctx.Err())
	}
	select {
	case end := <-waiting.done:
		return end.outcome, end.err
	case <-ctx.Done():
		return dhcp.LeaseOutcome{}, fmt.Errorf("store the lease of %s: %w", ch.Lease.Addr, ctx.Err())
	}
}

// run makes changes until the channel is closed.
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
	changes := make([]dhcp.LeaseChange, len(batch))
	for i, ch := range batch {
		changes[i] = ch.LeaseChange
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	outcomes, err := c.store.Commit(ctx, c.now(), changes)
	c.note(err)
	for i, ch := range batch {
		end := committed{err: err}
		if err == nil {
			end.outcome = outcomes[i]
		}
		ch.done <- end
	}
}

// note notes how a write ended, and says when the store fails and is back.
func (c *committer) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil && !c.failed.IsZero():
		c.log.Info("leases of IPv6 can be stored again")
		c.failed = time.Time{}
	case err != nil:
		if c.failed.IsZero() {
			c.log.Error("leases of IPv6 cannot be stored, so none are given; see that the store's disk is there and not full, or that it can be reached", "error", err)
		}
		c.failed = c.now()
	}
}
