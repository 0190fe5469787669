package dhcp

import (
	"net/netip"
	"sync"
)

// MemoryLeases is a LeaseStore in memory. The zero value is empty and ready.
type MemoryLeases struct {
	mu     sync.Mutex
	leases map[netip.Addr]Lease
}

var _ LeaseStore = (*MemoryLeases)(nil)

// Leases returns all leases.
func (m *MemoryLeases) Leases() ([]Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Lease, 0, len(m.leases))
	for _, l := range m.leases {
		all = append(all, l)
	}
	return all, nil
}

// PutLeases stores leases.
func (m *MemoryLeases) PutLeases(leases []Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases == nil {
		m.leases = map[netip.Addr]Lease{}
	}
	for _, l := range leases {
		m.leases[l.Addr] = l
	}
	return nil
}

// DeleteLease deletes the lease of an address, if there is one.
func (m *MemoryLeases) DeleteLease(a netip.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leases, a)
	return nil
}
