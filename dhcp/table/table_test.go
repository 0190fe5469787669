package table

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

var noAddr netip.Addr

// tableOf makes a table of 10.0.0.0/24 that gives out first to last.
func tableOf(c *dhcptest.Clock, r dhcp.Reserver, first, last byte, avoid ...netip.Addr) *Table {
	n := dhcp.Network{Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour}
	if first != 0 {
		n.Pool = dhcp.Ranges{{First: dhcptest.IP(first), Last: dhcptest.IP(last)}}
	}
	return New(n, r, c.Now, avoid...)
}

func wantGrant(t *testing.T, what string, g dhcp.Grant, v dhcp.Verdict, a netip.Addr) {
	t.Helper()
	if g.Verdict != v || v == dhcp.Granted && g.Addr != a {
		t.Fatalf("%s: verdict %d on %s (%s), want %d on %s", what, g.Verdict, g.Addr, g.Reason, v, a)
	}
	if g.Reason == "" {
		t.Errorf("%s: no reason", what)
	}
}

// take goes through a whole exchange: offer, request, lease.
func take(t *testing.T, tab *Table, m dhcp.Station, want netip.Addr) dhcp.Lease {
	t.Helper()
	wantGrant(t, "offer to "+m.String(), tab.Offer(m, noAddr), dhcp.Granted, want)
	g := tab.Request(m, want, true)
	wantGrant(t, "request of "+m.String(), g, dhcp.Granted, want)
	l, _, ok := tab.Bind(m, g)
	if !ok || l.Addr != want || l.MAC.String() != m.String() {
		t.Fatalf("lease of %s is %v", m, l)
	}
	return l
}

func TestPoolGivesEachClientItsOwnAddress(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 12)
	l := take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	if !l.Expires.Equal(c.Now().Add(time.Hour)) {
		t.Errorf("lease expires at %s", l.Expires)
	}
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	take(t, tab, dhcptest.MAC(3), dhcptest.IP(12))
}

func TestPoolFull(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 11)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	c.Forward(time.Minute)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
	g := tab.Offer(dhcptest.MAC(3), noAddr)
	wantGrant(t, "offer from a full pool", g, dhcp.NoAddress, noAddr)
	if !strings.Contains(g.Reason, "make the range larger") {
		t.Errorf("the reason says not what to do: %s", g.Reason)
	}
	c.Forward(time.Hour)
	take(t, tab, dhcptest.MAC(3), dhcptest.IP(10))
}

func TestOffersAreHeldBriefly(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 10)
	wantGrant(t, "offer", tab.Offer(dhcptest.MAC(1), noAddr), dhcp.Granted, dhcptest.IP(10))
	wantGrant(t, "offer of a held address", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.NoAddress, noAddr)
	c.Forward(offerTime)
	wantGrant(t, "offer after the hold", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.Granted, dhcptest.IP(10))
	wantGrant(t, "request of the late client", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), true), dhcp.Refused, noAddr)
}

func TestOfferToClientOfOtherServerIsWithdrawn(t *testing.T) {
	tab := tableOf(dhcptest.NewClock(), nil, 10, 10)
	tab.Offer(dhcptest.MAC(1), noAddr)
	tab.Withdraw(dhcptest.MAC(1))
	wantGrant(t, "offer", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.Granted, dhcptest.IP(10))
}

func TestAddressesAreSticky(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 20)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
	c.Forward(48 * time.Hour)
	take(t, tab, dhcptest.MAC(3), dhcptest.IP(12))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
}

func TestLongestUnusedAddressIsReusedFirst(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 12)
	for i := range byte(3) {
		take(t, tab, dhcptest.MAC(i+1), dhcptest.IP(10+i))
		c.Forward(time.Minute)
	}
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10)) // renewed: now the youngest
	c.Forward(2 * time.Hour)
	take(t, tab, dhcptest.MAC(9), dhcptest.IP(11))
}

func TestWantedAddress(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 20)
	wantGrant(t, "a free one", tab.Offer(dhcptest.MAC(1), dhcptest.IP(15)), dhcp.Granted, dhcptest.IP(15))
	wantGrant(t, "a taken one", tab.Offer(dhcptest.MAC(2), dhcptest.IP(15)), dhcp.Granted, dhcptest.IP(10))
	wantGrant(t, "one outside the pool", tab.Offer(dhcptest.MAC(3), dhcptest.IP(99)), dhcp.Granted, dhcptest.IP(11))
}

func TestReservation(t *testing.T) {
	r := dhcptest.Reservations{dhcptest.MAC(1): dhcptest.IP(10), dhcptest.MAC(2): dhcptest.IP(200)}
	tab := tableOf(dhcptest.NewClock(), r, 10, 12)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(200))
	wantGrant(t, "another's reserved address", tab.Offer(dhcptest.MAC(3), dhcptest.IP(10)), dhcp.Granted, dhcptest.IP(11))
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	g := tab.Offer(dhcptest.MAC(1), noAddr)
	if g.Hostname != "kept" {
		t.Errorf("hostname %q", g.Hostname)
	}
}

func TestReservationsAloneServeNoStranger(t *testing.T) {
	tab := tableOf(dhcptest.NewClock(), dhcptest.Reservations{dhcptest.MAC(1): dhcptest.IP(10)}, 0, 0)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	wantGrant(t, "a stranger", tab.Offer(dhcptest.MAC(2), dhcptest.IP(11)), dhcp.NoAddress, noAddr)
}

func TestReservationMadeWhileAddressIsInUse(t *testing.T) {
	c := dhcptest.NewClock()
	r := dhcptest.Reservations{}
	tab := tableOf(c, r, 10, 12)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	r[dhcptest.MAC(2)] = dhcptest.IP(10)
	g := tab.Offer(dhcptest.MAC(2), noAddr)
	wantGrant(t, "meanwhile", g, dhcp.Granted, dhcptest.IP(11))
	if !strings.Contains(g.Reason, dhcptest.MAC(1).String()) {
		t.Errorf("the reason says not who has the address: %s", g.Reason)
	}
	wantGrant(t, "renewal of what is reserved for another", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), dhcp.Refused, noAddr)
	c.Forward(2 * time.Hour)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
}

func TestReservationMadeForClientWithLease(t *testing.T) {
	r := dhcptest.Reservations{}
	tab := tableOf(dhcptest.NewClock(), r, 10, 12)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	r[dhcptest.MAC(1)] = dhcptest.IP(50)
	wantGrant(t, "renewal of the old address", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), dhcp.Refused, noAddr)
	g := tab.Offer(dhcptest.MAC(1), noAddr)
	wantGrant(t, "offer", g, dhcp.Granted, dhcptest.IP(50))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
}

func TestLeavingAnAddressTellsTheStore(t *testing.T) {
	r := dhcptest.Reservations{}
	tab := tableOf(dhcptest.NewClock(), r, 10, 12)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	r[dhcptest.MAC(1)] = dhcptest.IP(50)
	g := tab.Request(dhcptest.MAC(1), dhcptest.IP(50), false)
	if _, left, ok := tab.Bind(dhcptest.MAC(1), g); !ok || left != dhcptest.IP(10) {
		t.Errorf("left %s, want %s", left, dhcptest.IP(10))
	}
}

func TestReservationOutsideTheSubnet(t *testing.T) {
	r := dhcptest.Reservations{dhcptest.MAC(1): netip.MustParseAddr("192.0.2.1")}
	g := tableOf(dhcptest.NewClock(), r, 10, 12).Offer(dhcptest.MAC(1), noAddr)
	wantGrant(t, "offer", g, dhcp.Granted, dhcptest.IP(10))
	if !strings.Contains(g.Reason, "192.0.2.1 is not in 10.0.0.0/24") {
		t.Errorf("the reason hides the mistake: %s", g.Reason)
	}
}

func TestAddressesNeverGiven(t *testing.T) {
	tab := tableOf(dhcptest.NewClock(), nil, 0, 0, dhcptest.IP(1), dhcptest.IP(3))
	tab.network.Pool, tab.pools = dhcp.Ranges{{First: dhcptest.IP(0), Last: dhcptest.IP(4)}}, newPools(dhcp.Ranges{{First: dhcptest.IP(0), Last: dhcptest.IP(4)}}, false)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(2)) // .0 is the network, .1 and .3 are the server's
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(4))
	wantGrant(t, "the server's own", tab.Request(dhcptest.MAC(3), dhcptest.IP(1), false), dhcp.Refused, noAddr)
}

func TestRequests(t *testing.T) {
	c := dhcptest.NewClock()
	for _, test := range []struct {
		name      string
		addr      netip.Addr
		selecting bool
		want      dhcp.Verdict
	}{
		{"free address of the pool, no lease on record", dhcptest.IP(12), false, dhcp.Granted},
		{"address of another client", dhcptest.IP(10), false, dhcp.Refused},
		{"another network", netip.MustParseAddr("192.168.1.5"), false, dhcp.Refused},
		{"outside the pool, may be another server's", dhcptest.IP(99), false, dhcp.NoAddress},
		{"outside the pool, though we were chosen", dhcptest.IP(99), true, dhcp.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			tab := tableOf(c, nil, 10, 12)
			take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
			wantGrant(t, "request", tab.Request(dhcptest.MAC(2), test.addr, test.selecting), test.want, test.addr)
		})
	}
}

func TestDeclinedAddressIsQuarantined(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 11)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	if ok, _ := tab.Decline(dhcptest.MAC(2), dhcptest.IP(10)); ok {
		t.Error("a client declined another's address")
	}
	if ok, _ := tab.Decline(dhcptest.MAC(1), dhcptest.IP(10)); !ok {
		t.Error("a client cannot decline its own address")
	}
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(11))
	wantGrant(t, "in quarantine", tab.Offer(dhcptest.MAC(2), dhcptest.IP(10)), dhcp.NoAddress, noAddr)
	wantGrant(t, "request in quarantine", tab.Request(dhcptest.MAC(2), dhcptest.IP(10), false), dhcp.Refused, noAddr)
	c.Forward(Quarantine)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
}

func TestRelease(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 10)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	if _, ok := tab.Release(dhcptest.MAC(2), dhcptest.IP(10)); ok {
		t.Error("a client released another's lease")
	}
	l, ok := tab.Release(dhcptest.MAC(1), dhcptest.IP(10))
	if !ok || !l.Expires.Equal(c.Now().Add(releaseHold)) {
		t.Errorf("released lease: %v, %v", l, ok)
	}
	wantGrant(t, "another client, at once", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.NoAddress, noAddr)
	wantGrant(t, "the same client", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), dhcp.Granted, dhcptest.IP(10))
	c.Forward(releaseHold)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
}

// TestADeclinedReservationStays: one forged packet does not take a machine's
// reserved address away.
func TestADeclinedReservationStays(t *testing.T) {
	tab := tableOf(dhcptest.NewClock(), dhcptest.Reservations{dhcptest.MAC(1): dhcptest.IP(10)}, 10, 12)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	if declined, reserved := tab.Decline(dhcptest.MAC(1), dhcptest.IP(10)); !declined || !reserved {
		t.Errorf("declined %t, reserved %t", declined, reserved)
	}
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
}

// registry knows some clients.
type registry map[dhcp.Station]bool

func (r registry) Known(mac net.HardwareAddr) bool { return r[dhcp.Station(mac)] }

// TestStrangersLeaveAddresses: made-up clients do not take the whole pool.
func TestStrangersLeaveAddresses(t *testing.T) {
	c := dhcptest.NewClock()
	tab := New(dhcp.Network{
		Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour, Pool: dhcp.Ranges{dhcp.Range{First: dhcptest.IP(10), Last: dhcptest.IP(29)}},
	}, registry{dhcptest.MAC(1): true, dhcptest.MAC(2): true}, c.Now)
	given := 0
	for i := range byte(50) {
		stranger := dhcptest.MAC(100 + i)
		for _, wanted := range []netip.Addr{noAddr, dhcptest.IP(29)} {
			if g := tab.Offer(stranger, wanted); g.Verdict == dhcp.Granted {
				given++
				break
			} else if !strings.Contains(g.Reason, "10.0.0.25-10.0.0.29 are kept for machines of the site") {
				t.Errorf("the reason is %s", g.Reason)
			}
		}
		if g := tab.Request(stranger, dhcptest.IP(29), false); g.Verdict == dhcp.Granted {
			t.Error("a stranger got an address of the site's own by asking for it")
		}
	}
	if given != 15 {
		t.Errorf("strangers got %d of 20 addresses, want 15", given)
	}
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(25))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(26))
}

// TestAnOlderLeaseInTheShare: a client that is not known holds an address of the
// known clients' share. It keeps the lease to its end, and not longer.
func TestAnOlderLeaseInTheShare(t *testing.T) {
	c := dhcptest.NewClock()
	tab := New(dhcp.Network{
		Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour, Pool: dhcp.Ranges{dhcp.Range{First: dhcptest.IP(10), Last: dhcptest.IP(17)}},
	}, registry{dhcptest.MAC(99): true}, c.Now)
	m := dhcptest.MAC(1)
	tab.Learn([]dhcp.Lease{{Addr: dhcptest.IP(16), MAC: m[:], Expires: c.Now().Add(time.Hour)}}, true)
	if g := tab.Offer(dhcptest.MAC(99), dhcptest.IP(16)); g.Verdict != dhcp.Granted || g.Addr == dhcptest.IP(16) {
		t.Errorf("a known client is offered %v", g)
	}
	wantGrant(t, "renewal", tab.Request(dhcptest.MAC(1), dhcptest.IP(16), false), dhcp.Granted, dhcptest.IP(16))
	c.Forward(2 * time.Hour)
	wantGrant(t, "after its end", tab.Offer(dhcptest.MAC(1), dhcptest.IP(16)), dhcp.Granted, dhcptest.IP(11))
}

func TestTwoClientsCannotBindOneAddress(t *testing.T) {
	tab := tableOf(dhcptest.NewClock(), nil, 10, 10)
	first, second := tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), tab.Request(dhcptest.MAC(2), dhcptest.IP(10), false)
	if _, _, ok := tab.Bind(dhcptest.MAC(1), first); !ok {
		t.Fatal("the first client gets nothing")
	}
	if _, _, ok := tab.Bind(dhcptest.MAC(2), second); ok {
		t.Error("the second client gets the first one's address")
	}
}

func TestLoadedLeases(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 12)
	m1, m2 := dhcptest.MAC(1), dhcptest.MAC(2)
	tab.Learn([]dhcp.Lease{
		{Addr: dhcptest.IP(10), MAC: m1[:], Expires: c.Now().Add(time.Minute)},
		{Addr: dhcptest.IP(11), MAC: m2[:], Expires: c.Now().Add(-time.Hour)},
		{Addr: netip.MustParseAddr("192.0.2.1"), MAC: m2[:], Expires: c.Now().Add(time.Hour)},
		{Addr: dhcptest.IP(12), MAC: net.HardwareAddr{1}, Expires: c.Now().Add(time.Hour)},
	}, true)
	wantGrant(t, "address of a running lease", tab.Request(dhcptest.MAC(3), dhcptest.IP(10), false), dhcp.Refused, noAddr)
	take(t, tab, dhcptest.MAC(3), dhcptest.IP(12))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(11))
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
}

// leaseOf is a lease that a store tells of.
func leaseOf(c *dhcptest.Clock, last byte, m dhcp.Station, rest time.Duration) dhcp.Lease {
	return dhcp.Lease{Addr: dhcptest.IP(last), MAC: m[:], Expires: c.Now().Add(rest)}
}

// TestAReservationOfALeasedAddress that was made while no server ran: its client is
// offered another address until the lease ends, since the store would refuse it.
func TestAReservationOfALeasedAddress(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, dhcptest.Reservations{dhcptest.MAC(2): dhcptest.IP(12)}, 10, 12)
	tab.Learn([]dhcp.Lease{leaseOf(c, 12, dhcptest.MAC(1), time.Hour)}, true)
	g := tab.Offer(dhcptest.MAC(2), noAddr)
	wantGrant(t, "meanwhile", g, dhcp.Granted, dhcptest.IP(10))
	if !strings.Contains(g.Reason, dhcptest.MAC(1).String()) {
		t.Errorf("the reason says not who has the address: %s", g.Reason)
	}
	c.Forward(time.Hour)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(12))
}

// TestWhatIsStoredIsNotOffered, although its client has another address by now: two
// servers gave it one each. When the store has it no more, it is free.
func TestWhatIsStoredIsNotOffered(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 11)
	tab.Learn([]dhcp.Lease{leaseOf(c, 10, dhcptest.MAC(1), time.Hour)}, false)
	tab.Learn([]dhcp.Lease{leaseOf(c, 11, dhcptest.MAC(1), time.Hour)}, false)
	wantGrant(t, "while it is stored", tab.Offer(dhcptest.MAC(2), dhcptest.IP(10)), dhcp.NoAddress, noAddr)
	tab.Learn([]dhcp.Lease{{Addr: dhcptest.IP(10)}}, false)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
}

// TestAFailedMoveIsUndone: a client keeps the address that it could not leave.
func TestAFailedMoveIsUndone(t *testing.T) {
	c := dhcptest.NewClock()
	r := dhcptest.Reservations{}
	tab := tableOf(c, r, 10, 11)
	tab.Learn([]dhcp.Lease{leaseOf(c, 10, dhcptest.MAC(1), time.Hour)}, false)
	r[dhcptest.MAC(1)] = dhcptest.IP(50)
	_, left, ok := tab.Bind(dhcptest.MAC(1), tab.Request(dhcptest.MAC(1), dhcptest.IP(50), false))
	if !ok || left != dhcptest.IP(10) {
		t.Fatalf("left %s, %t", left, ok)
	}
	if rest := tab.Unbind(dhcptest.MAC(1), dhcptest.IP(50), left); rest != 0 {
		t.Errorf("an address that is not stored is the client's for %s", rest)
	}
	clear(r)
	if !tab.HasStored(dhcptest.MAC(1)) {
		t.Error("the client has no lease")
	}
	wantGrant(t, "offer", tab.Offer(dhcptest.MAC(1), noAddr), dhcp.Granted, dhcptest.IP(10))
	wantGrant(t, "another client", tab.Offer(dhcptest.MAC(2), dhcptest.IP(10)), dhcp.Granted, dhcptest.IP(11))
}

// TestLeasesAreLoadedAgain: what changed unseen is taken over.
func TestLeasesAreLoadedAgain(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 13)
	tab.Learn([]dhcp.Lease{leaseOf(c, 10, dhcptest.MAC(1), time.Hour), leaseOf(c, 11, dhcptest.MAC(2), time.Hour), leaseOf(c, 12, dhcp.Station{}, time.Hour)}, true)
	binding := tab.Request(dhcptest.MAC(3), dhcptest.IP(13), false)
	if _, _, ok := tab.Bind(dhcptest.MAC(3), binding); !ok {
		t.Fatal("the third client gets nothing")
	}
	tab.Learn([]dhcp.Lease{leaseOf(c, 11, dhcptest.MAC(4), time.Hour)}, true)
	wantGrant(t, "address that was left", tab.Offer(dhcptest.MAC(5), dhcptest.IP(10)), dhcp.Granted, dhcptest.IP(10))
	wantGrant(t, "address that another client has now", tab.Request(dhcptest.MAC(2), dhcptest.IP(11), false), dhcp.Refused, noAddr)
	wantGrant(t, "address that is of use again", tab.Offer(dhcptest.MAC(6), dhcptest.IP(12)), dhcp.Granted, dhcptest.IP(12))
	wantGrant(t, "lease that is being stored", tab.Request(dhcptest.MAC(7), dhcptest.IP(13), false), dhcp.Refused, noAddr)
}

// TestALateTellingIsNoNews: a lost claim says who had an address when it was lost,
// and the store may have told of a later lease before.
func TestALateTellingIsNoNews(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 10)
	tab.Learn([]dhcp.Lease{leaseOf(c, 10, dhcptest.MAC(1), time.Hour)}, false)
	tab.Concede(dhcptest.MAC(2), leaseOf(c, 10, dhcptest.MAC(1), time.Minute))
	c.Forward(2 * time.Minute)
	wantGrant(t, "offer", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.NoAddress, noAddr)
}

// TestAnOfferDoesNotShortenALease: a client whose lease is about to end gets
// an offer, and takes that of another server. Its lease here still is its own.
func TestAnOfferDoesNotShortenALease(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 10)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	c.Forward(time.Hour - 40*time.Second)
	wantGrant(t, "offer in the last minute", tab.Offer(dhcptest.MAC(1), noAddr), dhcp.Granted, dhcptest.IP(10))
	tab.Withdraw(dhcptest.MAC(1))
	wantGrant(t, "offer of a leased address", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.NoAddress, noAddr)
	c.Forward(offerTime)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
}

// TestAddressesAreFreeOnceNothingHoldsThem: the reservations of the first
// addresses are taken back after others were given out.
func TestAddressesAreFreeOnceNothingHoldsThem(t *testing.T) {
	c := dhcptest.NewClock()
	r := dhcptest.Reservations{dhcptest.MAC(1): dhcptest.IP(10), dhcptest.MAC(2): dhcptest.IP(11)}
	tab := tableOf(c, r, 10, 12)
	take(t, tab, dhcptest.MAC(9), dhcptest.IP(12))
	wantGrant(t, "while the rest is reserved", tab.Offer(dhcptest.MAC(3), noAddr), dhcp.NoAddress, noAddr)
	clear(r)
	c.Forward(recheck)
	first := tab.Offer(dhcptest.MAC(3), noAddr)
	second := tab.Offer(dhcptest.MAC(4), noAddr)
	if first.Verdict != dhcp.Granted || second.Verdict != dhcp.Granted || first.Addr == second.Addr {
		t.Errorf("offers of %v and %v", first, second)
	}
}

func TestFloodOfStrangersStaysBounded(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOf(c, nil, 10, 19)
	for i := range 10000 {
		tab.Offer(dhcp.Station{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}, noAddr)
		c.Forward(offerTime / 5)
	}
	queued := 0
	for _, q := range tab.pools[0].known {
		queued += len(q)
	}
	if len(tab.byAddr) > 10 || len(tab.byMAC) > 10 || queued > 10 {
		t.Errorf("%d addresses, %d clients, %d in queues for a pool of 10", len(tab.byAddr), len(tab.byMAC), queued)
	}
}
