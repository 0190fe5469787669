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

// Holder returns the network card that has a lease of an address now, and whether the
// address has one. That of an address which is kept out of use is of no card. It is what
// the store says, and so the same on all servers that share it.
func (l Leases) Holder(ctx context.Context, addr netip.Addr, now time.Time) (card net.HardwareAddr, held bool, err error) {
	err = l.Store.View(ctx, func(tx store.Tx) error {
		value, err := tx.Get(Bucket, addr.String())
		if err != nil || value == nil {
			return err
		}
		lease, err := l.read(addr.String(), value)
		if err != nil || !now.Before(lease.Expires) {
			return err
		}
		held = true
		if slices.ContainsFunc(lease.MAC, func(b byte) bool { return b != 0 }) {
			card = lease.MAC
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("find out who has %s: %w", addr, err)
	}
	return card, held, nil
}
