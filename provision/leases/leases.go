// Package leases keeps the leases of a DHCP server in a store.
package leases

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"cloudlets/dhcp"
	"cloudlets/provision/store"
)

// leaseBucket holds leases by their address.
const Bucket = "leases"

// Leases keeps a DHCP server's leases in the store.
type Leases struct{ Store store.Store }

var _ dhcp.LeaseStore = Leases{}

// Leases implements [dhcp.LeaseStore].
func (l Leases) Leases() ([]dhcp.Lease, error) {
	var list []dhcp.Lease
	err := l.Store.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan(Bucket, "", "", func(key string, value []byte) error {
			var lease dhcp.Lease
			if err := json.Unmarshal(value, &lease); err != nil {
				return fmt.Errorf("lease of %s: %w", key, err)
			}
			list = append(list, lease)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return list, nil
}

// PutLeases implements [dhcp.LeaseStore].
func (l Leases) PutLeases(leases []dhcp.Lease) error {
	err := l.Store.Update(context.Background(), func(tx store.Tx) error {
		for _, lease := range leases {
			text, err := json.Marshal(lease)
			if err != nil {
				return err
			}
			if err := tx.Put(Bucket, lease.Addr.String(), text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep %d leases: %w", len(leases), err)
	}
	return nil
}

// DeleteLease implements [dhcp.LeaseStore].
func (l Leases) DeleteLease(addr netip.Addr) error {
	return l.Store.Update(context.Background(), func(tx store.Tx) error {
		return tx.Delete(Bucket, addr.String())
	})
}
