package leases_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
)

// TestHolder: an address belongs to the card of its lease until that ends.
func TestHolder(t *testing.T) {
	kept := leases.Leases{Store: &store.Memory{}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	card, addr := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}, netip.MustParseAddr("10.0.0.21")
	nobodys := netip.MustParseAddr("10.0.0.22")
	_, err := kept.Commit(t.Context(), now, []dhcp.LeaseChange{
		{Lease: dhcp.Lease{Addr: addr, MAC: card, Expires: now.Add(time.Hour)}, Client: card},
		{Lease: dhcp.Lease{Addr: nobodys, MAC: make(net.HardwareAddr, 6), Expires: now.Add(time.Hour)}, Client: make(net.HardwareAddr, 6)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr netip.Addr
		at   time.Time
		want string
		held bool
	}{
		{addr, now, card.String(), true}, {addr, now.Add(time.Hour), "", false}, {nobodys, now, "", true}, {netip.MustParseAddr("10.0.0.2"), now, "", false},
	} {
		if got, held, err := kept.Holder(t.Context(), c.addr, c.at); err != nil || got.String() != c.want || held != c.held {
			t.Errorf("%s at %v: %v, %t, %v", c.addr, c.at, got, held, err)
		}
	}
}
