package table

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"cloudlets/dhcp"
)

// manyReservations keeps 10.0.0.1 and the following addresses for as many
// machines, as a site with so many files does.
type manyReservations int

func manyMAC(i int) (m dhcp.Station) {
	m[0] = 2
	binary.BigEndian.PutUint32(m[2:], uint32(i))
	return m
}

func manyAddr(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+1+uint32(i))
	return netip.AddrFrom4(b)
}

func (n manyReservations) Reserve(mac net.HardwareAddr, _ netip.Prefix) (dhcp.Reservation, bool) {
	i := int(binary.BigEndian.Uint32(mac[2:]))
	if mac[0] != 2 || i >= int(n) {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Addr: manyAddr(i)}, true
}

func (n manyReservations) Reserved(a netip.Addr) (net.HardwareAddr, bool) {
	i := int(binary.BigEndian.Uint32(a.AsSlice())) - 10<<24 - 1
	if i < 0 || i >= int(n) {
		return nil, false
	}
	m := manyMAC(i)
	return m[:], true
}

// BenchmarkTable measures a whole exchange (offer, request, lease) with so many
// reservations inside the pool: of a client with a reservation, of one without, and
// of one without where three servers share the pool. None may become slower with more
// of them.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000, 100_000} {
		for _, who := range []string{"reserved", "pool", "shared"} {
			b.Run(fmt.Sprintf("%s/machines=%d", who, n), func(b *testing.B) {
				now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
				network := dhcp.Network{
					Subnet: netip.MustParsePrefix("10.0.0.0/8"), LeaseTime: time.Hour,
					Pool: dhcp.Ranges{dhcp.Range{First: manyAddr(0), Last: manyAddr(n + 1000)}},
				}
				table := New(network, manyReservations(n), func() time.Time { return now })
				if who == "shared" {
					live := []string{"a", "b", "c"}
					table.Members = func() (string, []string) { return "b", live }
				}
				for i := range n { // all were here before, and their leases have ended
					table.assign(manyAddr(i), manyMAC(i), true, now.Add(-time.Minute))
				}
				for i := 0; b.Loop(); i++ {
					m := manyMAC(i % n)
					if who != "reserved" {
						m = dhcp.Station{4, 0, 0, 0, byte(i % 900 >> 8), byte(i % 900)}
					}
					g := table.Offer(m, netip.Addr{})
					if g = table.Request(m, g.Addr, true); g.Verdict != dhcp.Granted {
						b.Fatal(g.Reason)
					}
					if _, _, ok := table.Bind(m, g); !ok {
						b.Fatal("another client was quicker")
					}
				}
			})
		}
	}
}

func BenchmarkOffer(b *testing.B) {
	n := dhcp.Network{Subnet: netip.MustParsePrefix("10.0.0.0/16"), Pool: dhcp.Ranges{dhcp.Range{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.255.0")}}}
	now := time.Unix(0, 0)
	tab := New(n, nil, func() time.Time { return now })
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second) // a pool that is always nearly full
		tab.Offer(dhcp.Station{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}, netip.Addr{})
	}
}
