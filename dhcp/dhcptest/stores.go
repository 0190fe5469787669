package dhcptest

import (
	"context"
	"slices"
	"time"

	"cloudlets/dhcp"
)

// Stored are the leases of a store.
func Stored(s dhcp.LeaseStore) (leases []dhcp.Lease) {
	stop, err := s.Follow(context.Background(), func(l []dhcp.Lease, _ bool) { leases = slices.Clone(l) })
	if err != nil {
		panic(err)
	}
	stop()
	return leases
}

// SlowStore says when a write begins, and waits until it may go on.
type SlowStore struct {
	dhcp.MemoryLeases
	Began, GoOn chan struct{}
}

// Commit implements [dhcp.LeaseStore].
func (s *SlowStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	close(s.Began)
	<-s.GoOn
	return s.MemoryLeases.Commit(ctx, now, changes)
}
