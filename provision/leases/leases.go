// Package leases keeps a DHCP server's leases in a [store.Store]. [Leases] is
// the [dhcp.LeaseStore] of the server; each lease is a JSON value in the
// bucket [Bucket], under its IP address.
package leases

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision/store"
)

// Bucket is the bucket of the leases. The keys are their IP addresses.
const Bucket = "leases"

// Leases keeps a DHCP server's leases in the store.
type Leases struct {
	Store store.Store
	Log   *slog.Logger // may be nil; then nothing is logged
}

var _ dhcp.LeaseStore = Leases{}

// Leases implements [dhcp.LeaseStore].
func (l Leases) Leases() ([]dhcp.Lease, error) {
	var list []dhcp.Lease
	err := l.Store.View(context.Background(), func(tx store.Tx) error {
		return tx.Scan(Bucket, "", "", func(key string, value []byte) error {
			var lease dhcp.Lease
			if err := json.Unmarshal(value, &lease); err != nil {
				lease, err = l.damaged(key, err)
				if err != nil {
					return err
				}
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

// damagedTerm is how long an address is kept out of use whose lease cannot be
// read: as long as a client may still have it.
const damagedTerm = 24 * time.Hour

// damaged is the lease of an address whose record cannot be read: that of no
// client.
func (l Leases) damaged(key string, cause error) (dhcp.Lease, error) {
	addr, err := netip.ParseAddr(key)
	if err != nil {
		return dhcp.Lease{}, fmt.Errorf("decode the lease of %.40q: %w", key, cause)
	}
	if l.Log != nil {
		l.Log.Error("a lease is damaged; its address is kept out of use for a while", "address", addr, "time", damagedTerm, "error", cause)
	}
	return dhcp.Lease{Addr: addr, MAC: make(net.HardwareAddr, 6), Expires: time.Now().Add(damagedTerm)}, nil
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
		return fmt.Errorf("store %d leases: %w", len(leases), err)
	}
	return nil
}

// DeleteLease implements [dhcp.LeaseStore].
func (l Leases) DeleteLease(addr netip.Addr) error {
	return l.Store.Update(context.Background(), func(tx store.Tx) error {
		return tx.Delete(Bucket, addr.String())
	})
}
