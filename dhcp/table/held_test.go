package table

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestNoAddressOfThisHostIsGiven: the host has three addresses in the pool, one of them
// since the server runs, and loses one again.
func TestNoAddressOfThisHostIsGiven(t *testing.T) {
	c := dhcptest.NewClock()
	own := map[netip.Addr]bool{dhcptest.IP(10): true, dhcptest.IP(12): true}
	tab := tableOf(c, nil, 10, 14)
	tab.Own = func(a netip.Addr) bool { return own[a] }
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(11))
	own[dhcptest.IP(13)] = true
	wantGrant(t, "wants an address of this host", tab.Offer(dhcptest.MAC(2), dhcptest.IP(13)), dhcp.Granted, dhcptest.IP(14))
	wantGrant(t, "requests an address of this host", tab.Request(dhcptest.MAC(2), dhcptest.IP(13), false), dhcp.Refused, noAddr)
	own[dhcptest.IP(11)] = true
	g := tab.Request(dhcptest.MAC(1), dhcptest.IP(11), false)
	wantGrant(t, "renews what is the host's by now", g, dhcp.Refused, noAddr)
	if !strings.Contains(g.Reason, "an address of this server") {
		t.Errorf("the reason is %q", g.Reason)
	}
	wantGrant(t, "from a pool that is used up", tab.Offer(dhcptest.MAC(3), noAddr), dhcp.NoAddress, noAddr)
	delete(own, dhcptest.IP(12))
	c.Forward(recheck)
	wantGrant(t, "of what the host has no more", tab.Offer(dhcptest.MAC(3), noAddr), dhcp.Granted, dhcptest.IP(12))
}

// TestReservationsThatNoClientCanHave: the client gets an address of the pool, in its
// REQUEST too, and is told of why.
func TestReservationsThatNoClientCanHave(t *testing.T) {
	for address, why := range map[string]string{
		"10.0.0.1":    "an address of this server",
		"10.0.0.3":    "an address of this server",
		"10.0.0.2":    "the router's address",
		"10.0.0.53":   "a name server's address",
		"10.0.0.0":    "the address of the network itself",
		"10.0.0.255":  "the broadcast address",
		"192.0.2.1":   "not in 10.0.0.0/24",
		"10.0.0.0/24": "", // no reservation at all
	} {
		r := dhcptest.Reservations{}
		if a, err := netip.ParseAddr(address); err == nil {
			r[dhcptest.MAC(1)] = a
		}
		c := dhcptest.NewClock()
		n := dhcp.Network{Subnet: netip.MustParsePrefix("10.0.0.0/24"), Pool: dhcp.Ranges{{First: dhcptest.IP(10), Last: dhcptest.IP(12)}}, Router: dhcptest.IP(2), DNS: []netip.Addr{dhcptest.IP(53)}, LeaseTime: time.Hour}
		tab := New(n, r, c.Now, dhcptest.IP(1), dhcptest.IP(2), dhcptest.IP(53))
		tab.Own = func(a netip.Addr) bool { return a == dhcptest.IP(3) }
		g := tab.Offer(dhcptest.MAC(1), noAddr)
		if !strings.Contains(g.Reason, why) || !strings.Contains(g.Misplaced, why) {
			t.Errorf("%s: the reason is %q, want %q in it", address, g.Reason, why)
		}
		take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	}
}

// TestTheStationsOwnLeaseIsKept: a host that has a lease and answers at a second
// address does not lose the lease by that.
func TestTheStationsOwnLeaseIsKept(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 12)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	if tab.Occupy(dhcptest.IP(10), dhcptest.MAC(7)) {
		t.Error("an address with a lease is taken out of use")
	}
	if !tab.Occupy(dhcptest.IP(11), dhcptest.MAC(1)) {
		t.Error("an address without a lease is not taken out of use")
	}
	wantGrant(t, "renewal", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), dhcp.Granted, dhcptest.IP(10))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(12))
	wantGrant(t, "while it is out of use", tab.Offer(dhcptest.MAC(3), noAddr), dhcp.NoAddress, noAddr)
	c.Forward(Quarantine)
	wantGrant(t, "after that", tab.Offer(dhcptest.MAC(3), noAddr), dhcp.Granted, dhcptest.IP(11))
}
