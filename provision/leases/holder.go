package leases

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"cloudlets/provision/store"
)

// Holder returns the network card that has a lease of an address now, or nil if none
// has. It is what the store says, and so the same on all servers that share it.
func (l Leases) Holder(ctx context.Context, addr netip.Addr, now time.Time) (card net.HardwareAddr, err error) {
	err = l.Store.View(ctx, func(tx store.Tx) error {
		value, err := tx.Get(Bucket, addr.String())
		if err != nil || value == nil {
			return err
		}
		lease, err := l.read(addr.String(), value)
		// The lease of an address that is kept out of use is that of no card.
		if err == nil && now.Before(lease.Expires) && slices.ContainsFunc(lease.MAC, func(b byte) bool { return b != 0 }) {
			card = lease.MAC
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find out who has %s: %w", addr, err)
	}
	return card, nil
}
