package dhcp

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// MemoryLeases is a LeaseStore in memory. The zero value is empty and ready.
type MemoryLeases struct {
	mu        sync.Mutex // held while followers are told
	leases    map[netip.Addr]Lease
	followers []*leaseFollower
}

type leaseFollower struct{ told func([]Lease, bool) }

var _ LeaseStore = (*MemoryLeases)(nil)

// Follow implements [LeaseStore].
func (m *MemoryLeases) Follow(_ context.Context, told func([]Lease, bool)) (stop func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Lease, 0, len(m.leases))
	for _, l := range m.leases {
		all = append(all, l)
	}
	told(all, true)
	f := &leaseFollower{told}
	m.followers = append(m.followers, f)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.followers = slices.DeleteFunc(m.followers, func(other *leaseFollower) bool { return other == f })
	}, nil
}

// Commit implements [LeaseStore].
func (m *MemoryLeases) Commit(ctx context.Context, now time.Time, changes []LeaseChange) ([]LeaseOutcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases == nil {
		m.leases = map[netip.Addr]Lease{}
	}
	outcomes := make([]LeaseOutcome, len(changes))
	var told []Lease
	for i, c := range changes {
		if outcomes[i] = c.Outcome(m.at(c.Lease.Addr), now); !outcomes[i].Made {
			continue
		}
		if left := m.at(c.Left); left != nil && c.Left != c.Lease.Addr && bytes.Equal(left.MAC, c.Client) {
			delete(m.leases, c.Left)
			told = append(told, Lease{Addr: c.Left})
		}
		m.leases[c.Lease.Addr] = c.Lease
		told = append(told, c.Lease)
	}
	if len(told) > 0 {
		for _, f := range m.followers {
			f.told(told, false)
		}
	}
	return outcomes, nil
}

// at is the lease of an address, or nil.
func (m *MemoryLeases) at(a netip.Addr) *Lease {
	if l, ok := m.leases[a]; ok {
		return &l
	}
	return nil
}
