// Package leases keeps a DHCP server's leases in a [store.Store]. [Leases] is
// the [dhcp.LeaseStore] of the server; each lease is a JSON value in the
// bucket [Bucket], under its IP address.
package leases

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/provision/store"
)

// Bucket is the bucket of the leases. The keys are their IP addresses.
const Bucket = "leases"

// Leases keeps a DHCP server's leases in the store.
type Leases struct {
	Store store.Store
	Log   *slog.Logger // may be nil; then nothing is logged
	// Server is the name of this server, which is kept with each lease that it makes.
	Server string
}

// Record is what the store has of a lease.
type Record struct {
	dhcp.Lease
	// Since is when the client got the address that it has had without a break; zero if
	// a program stored the lease that did not keep it.
	Since time.Time `json:",omitzero"`
	// Server is the server that made the lease, or renewed it last.
	Server string `json:",omitempty"`
}

var _ dhcp.LeaseStore = Leases{}

// Follow implements [dhcp.LeaseStore].
func (l Leases) Follow(ctx context.Context, told func([]dhcp.Lease, bool)) (stop func(), err error) {
	return l.follow(ctx, func(records []Record, all bool) {
		list := make([]dhcp.Lease, len(records))
		for i, r := range records {
			list[i] = r.Lease
		}
		told(list, all)
	})
}

func (l Leases) follow(ctx context.Context, told func([]Record, bool)) (stop func(), err error) {
	stop, err = l.Store.Follow(ctx, follower{l, told}, Bucket)
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return stop, nil
}

// follower tells of leases what a store tells of its bucket.
type follower struct {
	leases Leases
	told   func([]Record, bool)
}

// Load implements [store.Follower].
func (f follower) Load(tx store.Tx) error {
	var list []Record
	err := tx.Scan(Bucket, "", "", func(key string, value []byte) error {
		lease, err := f.leases.read(key, value)
		list = append(list, lease)
		return err
	})
	if err != nil {
		return err
	}
	f.told(list, true)
	return nil
}

// Apply implements [store.Follower].
func (f follower) Apply(changes []store.Change) {
	var list []Record
	for _, c := range changes {
		lease, err := f.leases.read(c.Key, c.Value)
		if err != nil {
			f.leases.logger().Error("a lease cannot be read", "error", err)
			continue
		}
		list = append(list, lease)
	}
	f.told(list, false)
}

// read reads the lease of an address. One that is deleted has no value, and then no
// client.
func (l Leases) read(key string, value []byte) (lease Record, err error) {
	if value == nil {
		lease.Addr, err = netip.ParseAddr(key)
		return lease, err
	}
	if err := decode(value, &lease); err == nil {
		return lease, nil
	} else if lease, err = damaged(key, time.Now(), err); err != nil {
		return lease, err
	}
	l.logger().Error("a lease is damaged; its address is kept out of use for a while", "address", lease.Addr, "time", damagedTerm)
	return lease, nil
}

func (l Leases) logger() *slog.Logger {
	if l.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l.Log
}

// damagedTerm is how long an address is kept out of use whose lease cannot be
// read: as long as a client may still have it.
const damagedTerm = 24 * time.Hour

// damaged is the lease of an address whose record cannot be read: that of no
// client.
func damaged(key string, now time.Time, cause error) (Record, error) {
	addr, err := netip.ParseAddr(key)
	if err != nil {
		return Record{}, fmt.Errorf("decode the lease of %.40q: %w", key, cause)
	}
	return Record{Lease: dhcp.Lease{Addr: addr, MAC: make(net.HardwareAddr, 6), Expires: now.Add(damagedTerm)}}, nil
}

// maxAtOnce is how many transactions of one Commit run at once. A shared store takes
// some milliseconds for one, and much longer while it has much to do.
const maxAtOnce = 8

// Commit implements [dhcp.LeaseStore]. What is too much for one transaction is divided
// among several, of which those that have no address in common run at once.
func (l Leases) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	ctx = store.Urgent(ctx)
	limits := l.Store.Limits()
	// A change reads two leases, and writes each once, or twice if it is damaged.
	most := max(1, min(limits.Reads/2, limits.Writes/4, limits.Bytes/maxRecord/2))
	var outcomes []dhcp.LeaseOutcome
	for len(changes) > 0 {
		parts := independent(changes, most)
		made, err := l.commitAtOnce(ctx, now, parts)
		if err != nil {
			return nil, fmt.Errorf("store %d leases: %w", len(changes), err)
		}
		outcomes = append(outcomes, made...)
		changes = changes[len(made):]
	}
	return outcomes, nil
}

// commitAtOnce makes the changes of several transactions, which have no address in common.
func (l Leases) commitAtOnce(ctx context.Context, now time.Time, parts [][]dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	commits := make([]commit, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAtOnce)
	for i, part := range parts {
		c := &commits[i]
		*c = commit{server: l.Server, now: now, changes: part}
		group.Go(func() error { return l.Store.Update(ctx, c.write) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var outcomes []dhcp.LeaseOutcome
	for _, c := range commits {
		outcomes = append(outcomes, c.outcomes...)
	}
	return outcomes, nil
}

// independent divides the first of some changes into parts of at most so many. It ends
// before a change of an address that an earlier part changes, since changes of one address
// are made in their order.
func independent(changes []dhcp.LeaseChange, most int) (parts [][]dhcp.LeaseChange) {
	earlier := make(map[netip.Addr]bool)
	for part := range slices.Chunk(changes, most) {
		n := slices.IndexFunc(part, func(c dhcp.LeaseChange) bool { return earlier[c.Lease.Addr] || c.Left.IsValid() && earlier[c.Left] })
		if n >= 0 {
			part = part[:n]
		}
		if len(part) > 0 {
			parts = append(parts, part)
		}
		if n >= 0 {
			break
		}
		for _, c := range part {
			earlier[c.Lease.Addr], earlier[c.Left] = true, true
		}
	}
	return parts
}

// maxRecord is more than a lease takes in the store, in bytes: a hostname has at
// most 255, a server's name 64 (the bound of Linux), and each may be written as six.
const maxRecord = 2560

// commit is one transaction.
type commit struct {
	server   string
	now      time.Time
	changes  []dhcp.LeaseChange
	outcomes []dhcp.LeaseOutcome
}

// write makes the changes, in their order. It may run several times.
func (c *commit) write(tx store.Tx) error {
	has, err := c.read(tx)
	if err != nil {
		return err
	}
	c.outcomes = make([]dhcp.LeaseOutcome, len(c.changes))
	for i, change := range c.changes {
		addr := change.Lease.Addr
		if c.outcomes[i] = change.Outcome(leaseOf(has[addr]), c.now); !c.outcomes[i].Made {
			continue
		}
		if left := has[change.Left]; left != nil && change.Left != addr && bytes.Equal(left.MAC, change.Client) {
			has[change.Left] = nil
			if err := tx.Delete(Bucket, change.Left.String()); err != nil {
				return err
			}
		}
		next := Record{Lease: change.Lease, Since: c.since(has[addr], change.Lease), Server: c.server}
		has[addr] = &next
		if err := put(tx, addr.String(), next); err != nil {
			return err
		}
	}
	return nil
}

// since is when the client of a new lease got its address.
func (c *commit) since(has *Record, next dhcp.Lease) time.Time {
	if has != nil && bytes.Equal(has.MAC, next.MAC) && has.Expires.After(c.now) {
		return has.Since
	}
	return c.now.UTC().Truncate(time.Second)
}

func leaseOf(r *Record) *dhcp.Lease {
	if r == nil {
		return nil
	}
	return &r.Lease
}

// read reads the leases of all addresses that the changes are about. It replaces
// one that is damaged, so that the time for which it keeps its address has an end.
func (c *commit) read(tx store.Tx) (map[netip.Addr]*Record, error) {
	has := make(map[netip.Addr]*Record)
	var addrs []netip.Addr
	var keys []string
	for _, change := range c.changes {
		for _, addr := range []netip.Addr{change.Lease.Addr, change.Left} {
			if _, twice := has[addr]; addr.IsValid() && !twice {
				has[addr] = nil
				addrs, keys = append(addrs, addr), append(keys, addr.String())
			}
		}
	}
	values, err := tx.GetEach(Bucket, keys)
	if err != nil {
		return nil, err
	}
	for i, value := range values {
		if value == nil {
			continue
		}
		var lease Record
		if err := decode(value, &lease); err != nil {
			if lease, err = damaged(keys[i], c.now, err); err != nil {
				return nil, err
			}
			if err := put(tx, keys[i], lease); err != nil {
				return nil, err
			}
		}
		has[addrs[i]] = &lease
	}
	return has, nil
}

// put stores a lease.
func put(tx store.Tx, key string, l Record) error {
	text, err := encode(l)
	if err != nil {
		return fmt.Errorf("write the lease of %s: %w", key, err)
	}
	return tx.Put(Bucket, key, text)
}
