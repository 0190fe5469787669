package machines

import (
	"net/netip"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

func TestReservations(t *testing.T) {
	b, address := newBed(t), netip.MustParseAddr("127.0.0.1")
	b.change(node1, func(s *provision.Spec) { s.Address = address })
	r, ok := b.Reserve(node1.HardwareAddr(), netip.Prefix{})
	if !ok || r.Addr != address || r.Hostname != "web1" {
		t.Errorf("node1 has the reservation %+v, %t", r, ok)
	}
	far := netip.MustParseAddr("10.88.0.5")
	b.change(node1, func(s *provision.Spec) { s.MoreAddresses = []netip.Addr{far} })
	for subnet, want := range map[string]netip.Addr{"10.88.0.0/16": far, "127.0.0.0/8": address, "10.99.0.0/24": address} {
		if r, _ := b.Reserve(node1.HardwareAddr(), netip.MustParsePrefix(subnet)); r.Addr != want {
			t.Errorf("on %s %s is reserved", subnet, r.Addr)
		}
	}
	if mac, ok := b.Reserved(address); !ok || mac.String() != string(node1) {
		t.Errorf("the address is kept for %s, %t", mac, ok)
	}
	if _, ok := b.Reserve(stranger.HardwareAddr(), netip.Prefix{}); ok {
		t.Error("a stranger has a reservation")
	}
	if _, ok := b.Reserve([]byte{1, 2}, netip.Prefix{}); ok {
		t.Error("two bytes have a reservation")
	}
}

// TestAHostnameNeedsNoAddress: a machine whose file has a name and no address is told
// the name.
func TestAHostnameNeedsNoAddress(t *testing.T) {
	const mac = provision.MAC("52:54:00:00:00:09")
	c := newBed(t)
	c.site.Put(provision.Spec{MAC: mac, Hostname: "web1"})
	hw := mac.HardwareAddr()
	if r, ok := c.Reserve(hw, netip.Prefix{}); !ok || r != (dhcp.Reservation{Hostname: "web1"}) {
		t.Errorf("reservation %+v, %t", r, ok)
	}
	hw[5]++
	if r, ok := c.Reserve(hw, netip.Prefix{}); ok {
		t.Errorf("a stranger has the reservation %+v", r)
	}
}

// TestReservationOfEachProtocol: DHCP of one protocol hears nothing of the address that
// is reserved for the other.
func TestReservationOfEachProtocol(t *testing.T) {
	b := newBed(t)
	v4, v6 := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd77::5")
	for _, test := range []struct {
		first, more netip.Addr
		subnet      string
		want        netip.Addr
	}{
		{v4, v6, "10.0.0.0/24", v4},
		{v4, v6, "fd77::/64", v6},
		{v4, netip.Addr{}, "fd77::/64", netip.Addr{}},
		{v6, netip.Addr{}, "10.0.0.0/24", netip.Addr{}},
	} {
		b.change(node1, func(s *provision.Spec) {
			s.Address, s.MoreAddresses = test.first, nil
			if test.more.IsValid() {
				s.MoreAddresses = []netip.Addr{test.more}
			}
		})
		if r, _ := b.Reserve(node1.HardwareAddr(), netip.MustParsePrefix(test.subnet)); r.Addr != test.want {
			t.Errorf("of %s and %s, %s is reserved on %s, want %s", test.first, test.more, r.Addr, test.subnet, test.want)
		}
	}
}

// TestReservationOfAllCards: the address of a machine is kept for each of its cards,
// and people see that one as long as the machine has it.
func TestReservationOfAllCards(t *testing.T) {
	b := newBed(t)
	address := netip.MustParseAddr("127.0.0.1")
	b.change(node1, func(s *provision.Spec) { s.Cards, s.Address = []provision.MAC{card2}, address })
	for _, card := range []provision.MAC{node1, card2} {
		if r, ok := b.Reserve(card.HardwareAddr(), netip.Prefix{}); !ok || r.Addr != address || r.Hostname != "web1" {
			t.Errorf("for %s there is kept %v, %t", card, r, ok)
		}
	}
	if r, ok := b.Reserve(stranger.HardwareAddr(), netip.Prefix{}); ok {
		t.Errorf("for a stranger there is kept %v", r)
	}
	b.startsAt(card2, "127.0.0.7")
	if got := b.state(node1).Facts["address"]; got != "127.0.0.7" {
		t.Errorf("the machine is at %s", got)
	}
	b.startsAt(node1, "127.0.0.1")
	b.startsAt(card2, "127.0.0.7")
	if got := b.state(node1).Facts["address"]; got != "127.0.0.1" {
		t.Errorf("the machine is at %s", got)
	}
	// Each card's requests are known by its own address.
	b.SawTransfer(netip.MustParseAddr("127.0.0.7"), "undionly.kpxe", 1, nil)
	b.wantTrace(node1, "fetched undionly.kpxe by TFTP, 1 B (by its card "+string(card2)+")")
}
