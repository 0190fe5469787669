package dhcp

import (
	"context"
	"errors"
	"net/netip"
)

// maxBatch bounds how many leases share one write.
const maxBatch = 256

// change is what one packet does to the lease store.
type change struct {
	put  *Lease
	drop netip.Addr // an address to forget, if valid
	done chan error
}

// committer writes changes to the store in the order in which they came. A
// durable write takes milliseconds however small it is, so all that arrive
// during one share the next.
type committer struct {
	store   LeaseStore
	changes chan change
}

func newCommitter(s LeaseStore) *committer {
	return &committer{s, make(chan change, maxBatch)}
}

// commit returns when a change is durable, or cannot be.
func (c *committer) commit(ctx context.Context, put *Lease, drop netip.Addr) error {
	ch := change{put, drop, make(chan error, 1)}
	select {
	case c.changes <- ch:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-ch.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes until ctx ends.
func (c *committer) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-c.changes:
			batch := c.gather(first)
			err := c.write(batch)
			for _, ch := range batch {
				ch.done <- err
			}
		}
	}
}

// gather takes what is waiting, without waiting for more.
func (c *committer) gather(first change) []change {
	batch := []change{first}
	for len(batch) < maxBatch {
		select {
		case ch := <-c.changes:
			batch = append(batch, ch)
		default:
			return batch
		}
	}
	return batch
}

// write forgets before it puts: an address that one client left may be the
// next one's in the same batch.
func (c *committer) write(batch []change) error {
	var puts []Lease
	var errs []error
	for _, ch := range batch {
		if ch.drop.IsValid() {
			errs = append(errs, c.store.DeleteLease(ch.drop))
		}
		if ch.put != nil {
			puts = append(puts, *ch.put)
		}
	}
	if len(puts) > 0 {
		errs = append(errs, c.store.PutLeases(puts))
	}
	return errors.Join(errs...)
}
