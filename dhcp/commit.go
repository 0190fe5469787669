package dhcp

import (
	"errors"
	"net/netip"
)

// maxBatch is how many leases may share one write.
const maxBatch = 256

// change is what one packet does to the lease store.
type change struct {
	put  *Lease
	drop netip.Addr // an address whose lease is deleted, if valid
	done chan error
}

// committer writes changes to the store in the order in which they came. A
// durable write takes milliseconds however small it is, so all changes that
// arrive during one write share the next.
type committer struct {
	store   LeaseStore
	changes chan change
}

func newCommitter(s LeaseStore) *committer {
	return &committer{s, make(chan change, maxBatch)}
}

// commit returns when a change is durable, or has failed.
func (c *committer) commit(put *Lease, drop netip.Addr) error {
	ch := change{put, drop, make(chan error, 1)}
	c.changes <- ch
	return <-ch.done
}

// end makes run return when it has written what waits. No commit may run
// beside it or after it.
func (c *committer) end() { close(c.changes) }

// run writes changes until end is called.
func (c *committer) run() {
	for first := range c.changes {
		batch := c.gather(first)
		err := c.write(batch)
		for _, ch := range batch {
			ch.done <- err
		}
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

// write deletes before it puts: an address that one client left may be the
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
