package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// reservations is a Reserver for tests: MAC to address.
type reservations map[station]netip.Addr

func (r reservations) Reserve(mac net.HardwareAddr, _ netip.Prefix) (Reservation, bool) {
	a, ok := r[station(mac)]
	return Reservation{Addr: a, Hostname: "kept"}, ok
}

func (r reservations) Reserved(a netip.Addr) (net.HardwareAddr, bool) {
	for mac, addr := range r {
		if addr == a {
			return mac[:], true
		}
	}
	return nil, false
}

func mac(n byte) station { return station{0x52, 0x54, 0, 0, 0, n} }

func ip(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }

var noAddr netip.Addr

// tableOf makes a table of 10.0.0.0/24 that gives out first to last.
func tableOf(c *clock, r Reserver, first, last byte, avoid ...netip.Addr) *table {
	n := Network{Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour}
	if first != 0 {
		n.Pool = Ranges{{ip(first), ip(last)}}
	}
	return newTable(n, r, c.Now, avoid...)
}

func wantGrant(t *testing.T, what string, g Grant, v Verdict, a netip.Addr) {
	t.Helper()
	if g.Verdict != v || v == Granted && g.Addr != a {
		t.Fatalf("%s: verdict %d on %s (%s), want %d on %s", what, g.Verdict, g.Addr, g.Reason, v, a)
	}
	if g.Reason == "" {
		t.Errorf("%s: no reason", what)
	}
}

// take goes through a whole exchange: offer, request, lease.
func take(t *testing.T, tab *table, m station, want netip.Addr) Lease {
	t.Helper()
	wantGrant(t, "offer to "+m.String(), tab.offer(m, noAddr), Granted, want)
	g := tab.request(m, want, true)
	wantGrant(t, "request of "+m.String(), g, Granted, want)
	l, _, ok := tab.bind(m, g)
	if !ok || l.Addr != want || l.MAC.String() != m.String() {
		t.Fatalf("lease of %s is %v", m, l)
	}
	return l
}

func TestPoolGivesEachClientItsOwnAddress(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 12)
	l := take(t, tab, mac(1), ip(10))
	if !l.Expires.Equal(c.Now().Add(time.Hour)) {
		t.Errorf("lease expires at %s", l.Expires)
	}
	take(t, tab, mac(2), ip(11))
	take(t, tab, mac(1), ip(10))
	take(t, tab, mac(3), ip(12))
}

func TestPoolFull(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 11)
	take(t, tab, mac(1), ip(10))
	c.forward(time.Minute)
	take(t, tab, mac(2), ip(11))
	g := tab.offer(mac(3), noAddr)
	wantGrant(t, "offer from a full pool", g, NoAddress, noAddr)
	if !strings.Contains(g.Reason, "make the range larger") {
		t.Errorf("the reason says not what to do: %s", g.Reason)
	}
	c.forward(time.Hour)
	take(t, tab, mac(3), ip(10))
}

func TestOffersAreHeldBriefly(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 10)
	wantGrant(t, "offer", tab.offer(mac(1), noAddr), Granted, ip(10))
	wantGrant(t, "offer of a held address", tab.offer(mac(2), noAddr), NoAddress, noAddr)
	c.forward(offerTime)
	wantGrant(t, "offer after the hold", tab.offer(mac(2), noAddr), Granted, ip(10))
	wantGrant(t, "request of the late client", tab.request(mac(1), ip(10), true), Refused, noAddr)
}

func TestOfferToClientOfOtherServerIsWithdrawn(t *testing.T) {
	tab := tableOf(newClock(), nil, 10, 10)
	tab.offer(mac(1), noAddr)
	tab.withdraw(mac(1))
	wantGrant(t, "offer", tab.offer(mac(2), noAddr), Granted, ip(10))
}

func TestAddressesAreSticky(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 20)
	take(t, tab, mac(1), ip(10))
	take(t, tab, mac(2), ip(11))
	c.forward(48 * time.Hour)
	take(t, tab, mac(3), ip(12))
	take(t, tab, mac(2), ip(11))
}

func TestLongestUnusedAddressIsReusedFirst(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 12)
	for i := range byte(3) {
		take(t, tab, mac(i+1), ip(10+i))
		c.forward(time.Minute)
	}
	take(t, tab, mac(1), ip(10)) // renewed: now the youngest
	c.forward(2 * time.Hour)
	take(t, tab, mac(9), ip(11))
}

func TestWantedAddress(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 20)
	wantGrant(t, "a free one", tab.offer(mac(1), ip(15)), Granted, ip(15))
	wantGrant(t, "a taken one", tab.offer(mac(2), ip(15)), Granted, ip(10))
	wantGrant(t, "one outside the pool", tab.offer(mac(3), ip(99)), Granted, ip(11))
}

func TestReservation(t *testing.T) {
	r := reservations{mac(1): ip(10), mac(2): ip(200)}
	tab := tableOf(newClock(), r, 10, 12)
	take(t, tab, mac(2), ip(200))
	wantGrant(t, "another's reserved address", tab.offer(mac(3), ip(10)), Granted, ip(11))
	take(t, tab, mac(1), ip(10))
	g := tab.offer(mac(1), noAddr)
	if g.Hostname != "kept" {
		t.Errorf("hostname %q", g.Hostname)
	}
}

func TestReservationsAloneServeNoStranger(t *testing.T) {
	tab := tableOf(newClock(), reservations{mac(1): ip(10)}, 0, 0)
	take(t, tab, mac(1), ip(10))
	wantGrant(t, "a stranger", tab.offer(mac(2), ip(11)), NoAddress, noAddr)
}

func TestReservationMadeWhileAddressIsInUse(t *testing.T) {
	c := newClock()
	r := reservations{}
	tab := tableOf(c, r, 10, 12)
	take(t, tab, mac(1), ip(10))
	r[mac(2)] = ip(10)
	g := tab.offer(mac(2), noAddr)
	wantGrant(t, "meanwhile", g, Granted, ip(11))
	if !strings.Contains(g.Reason, mac(1).String()) {
		t.Errorf("the reason says not who has the address: %s", g.Reason)
	}
	wantGrant(t, "renewal of what is reserved for another", tab.request(mac(1), ip(10), false), Refused, noAddr)
	c.forward(2 * time.Hour)
	take(t, tab, mac(2), ip(10))
}

func TestReservationMadeForClientWithLease(t *testing.T) {
	r := reservations{}
	tab := tableOf(newClock(), r, 10, 12)
	take(t, tab, mac(1), ip(10))
	r[mac(1)] = ip(50)
	wantGrant(t, "renewal of the old address", tab.request(mac(1), ip(10), false), Refused, noAddr)
	g := tab.offer(mac(1), noAddr)
	wantGrant(t, "offer", g, Granted, ip(50))
	take(t, tab, mac(2), ip(11))
}

func TestLeavingAnAddressTellsTheStore(t *testing.T) {
	r := reservations{}
	tab := tableOf(newClock(), r, 10, 12)
	take(t, tab, mac(1), ip(10))
	r[mac(1)] = ip(50)
	g := tab.request(mac(1), ip(50), false)
	if _, left, ok := tab.bind(mac(1), g); !ok || left != ip(10) {
		t.Errorf("left %s, want %s", left, ip(10))
	}
}

func TestReservationOutsideTheSubnet(t *testing.T) {
	r := reservations{mac(1): netip.MustParseAddr("192.0.2.1")}
	g := tableOf(newClock(), r, 10, 12).offer(mac(1), noAddr)
	wantGrant(t, "offer", g, Granted, ip(10))
	if !strings.Contains(g.Reason, "192.0.2.1 is not in 10.0.0.0/24") {
		t.Errorf("the reason hides the mistake: %s", g.Reason)
	}
}

func TestAddressesNeverGiven(t *testing.T) {
	tab := tableOf(newClock(), nil, 0, 0, ip(1), ip(3))
	tab.network.Pool, tab.pools = Ranges{{ip(0), ip(4)}}, newPools(Ranges{{ip(0), ip(4)}}, false)
	take(t, tab, mac(1), ip(2)) // .0 is the network, .1 and .3 are the server's
	take(t, tab, mac(2), ip(4))
	wantGrant(t, "the server's own", tab.request(mac(3), ip(1), false), Refused, noAddr)
}

func TestRequests(t *testing.T) {
	c := newClock()
	for _, test := range []struct {
		name      string
		addr      netip.Addr
		selecting bool
		want      Verdict
	}{
		{"free address of the pool, no lease on record", ip(12), false, Granted},
		{"address of another client", ip(10), false, Refused},
		{"another network", netip.MustParseAddr("192.168.1.5"), false, Refused},
		{"outside the pool, may be another server's", ip(99), false, NoAddress},
		{"outside the pool, though we were chosen", ip(99), true, Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			tab := tableOf(c, nil, 10, 12)
			take(t, tab, mac(1), ip(10))
			wantGrant(t, "request", tab.request(mac(2), test.addr, test.selecting), test.want, test.addr)
		})
	}
}

func TestDeclinedAddressIsQuarantined(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 11)
	take(t, tab, mac(1), ip(10))
	if ok, _ := tab.decline(mac(2), ip(10)); ok {
		t.Error("a client declined another's address")
	}
	if ok, _ := tab.decline(mac(1), ip(10)); !ok {
		t.Error("a client cannot decline its own address")
	}
	take(t, tab, mac(1), ip(11))
	wantGrant(t, "in quarantine", tab.offer(mac(2), ip(10)), NoAddress, noAddr)
	wantGrant(t, "request in quarantine", tab.request(mac(2), ip(10), false), Refused, noAddr)
	c.forward(quarantine)
	take(t, tab, mac(2), ip(10))
}

func TestRelease(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 10)
	take(t, tab, mac(1), ip(10))
	if _, ok := tab.release(mac(2), ip(10)); ok {
		t.Error("a client released another's lease")
	}
	l, ok := tab.release(mac(1), ip(10))
	if !ok || !l.Expires.Equal(c.Now().Add(releaseHold)) {
		t.Errorf("released lease: %v, %v", l, ok)
	}
	wantGrant(t, "another client, at once", tab.offer(mac(2), noAddr), NoAddress, noAddr)
	wantGrant(t, "the same client", tab.request(mac(1), ip(10), false), Granted, ip(10))
	c.forward(releaseHold)
	take(t, tab, mac(2), ip(10))
}

// TestADeclinedReservationStays: one forged packet does not take a machine's
// reserved address away.
func TestADeclinedReservationStays(t *testing.T) {
	tab := tableOf(newClock(), reservations{mac(1): ip(10)}, 10, 12)
	take(t, tab, mac(1), ip(10))
	if declined, reserved := tab.decline(mac(1), ip(10)); !declined || !reserved {
		t.Errorf("declined %t, reserved %t", declined, reserved)
	}
	take(t, tab, mac(1), ip(10))
}

// registry knows some clients.
type registry map[station]bool

func (r registry) Known(mac net.HardwareAddr) bool { return r[station(mac)] }

// TestStrangersLeaveAddresses: made-up clients do not take the whole pool.
func TestStrangersLeaveAddresses(t *testing.T) {
	c := newClock()
	tab := newTable(Network{
		Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour, Pool: Ranges{Range{ip(10), ip(29)}},
	}, registry{mac(1): true, mac(2): true}, c.Now)
	given := 0
	for i := range byte(50) {
		stranger := mac(100 + i)
		for _, wanted := range []netip.Addr{noAddr, ip(29)} {
			if g := tab.offer(stranger, wanted); g.Verdict == Granted {
				given++
				break
			} else if !strings.Contains(g.Reason, "10.0.0.25-10.0.0.29 are kept for machines of the site") {
				t.Errorf("the reason is %s", g.Reason)
			}
		}
		if g := tab.request(stranger, ip(29), false); g.Verdict == Granted {
			t.Error("a stranger got an address of the site's own by asking for it")
		}
	}
	if given != 15 {
		t.Errorf("strangers got %d of 20 addresses, want 15", given)
	}
	take(t, tab, mac(1), ip(25))
	take(t, tab, mac(2), ip(26))
}

// TestAnOlderLeaseInTheShare: a client that is not known holds an address of the
// known clients' share. It keeps the lease to its end, and not longer.
func TestAnOlderLeaseInTheShare(t *testing.T) {
	c := newClock()
	tab := newTable(Network{
		Subnet: netip.MustParsePrefix("10.0.0.0/24"), LeaseTime: time.Hour, Pool: Ranges{Range{ip(10), ip(17)}},
	}, registry{mac(99): true}, c.Now)
	m := mac(1)
	tab.learn([]Lease{{Addr: ip(16), MAC: m[:], Expires: c.Now().Add(time.Hour)}}, true)
	if g := tab.offer(mac(99), ip(16)); g.Verdict != Granted || g.Addr == ip(16) {
		t.Errorf("a known client is offered %v", g)
	}
	wantGrant(t, "renewal", tab.request(mac(1), ip(16), false), Granted, ip(16))
	c.forward(2 * time.Hour)
	wantGrant(t, "after its end", tab.offer(mac(1), ip(16)), Granted, ip(11))
}

func TestTwoClientsCannotBindOneAddress(t *testing.T) {
	tab := tableOf(newClock(), nil, 10, 10)
	first, second := tab.request(mac(1), ip(10), false), tab.request(mac(2), ip(10), false)
	if _, _, ok := tab.bind(mac(1), first); !ok {
		t.Fatal("the first client gets nothing")
	}
	if _, _, ok := tab.bind(mac(2), second); ok {
		t.Error("the second client gets the first one's address")
	}
}

func TestLoadedLeases(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 12)
	m1, m2 := mac(1), mac(2)
	tab.learn([]Lease{
		{Addr: ip(10), MAC: m1[:], Expires: c.Now().Add(time.Minute)},
		{Addr: ip(11), MAC: m2[:], Expires: c.Now().Add(-time.Hour)},
		{Addr: netip.MustParseAddr("192.0.2.1"), MAC: m2[:], Expires: c.Now().Add(time.Hour)},
		{Addr: ip(12), MAC: net.HardwareAddr{1}, Expires: c.Now().Add(time.Hour)},
	}, true)
	wantGrant(t, "address of a running lease", tab.request(mac(3), ip(10), false), Refused, noAddr)
	take(t, tab, mac(3), ip(12))
	take(t, tab, mac(2), ip(11))
	take(t, tab, mac(1), ip(10))
}

// leaseOf is a lease that a store tells of.
func leaseOf(c *clock, last byte, m station, rest time.Duration) Lease {
	return Lease{Addr: ip(last), MAC: m[:], Expires: c.Now().Add(rest)}
}

// TestAReservationOfALeasedAddress that was made while no server ran: its client is
// offered another address until the lease ends, since the store would refuse it.
func TestAReservationOfALeasedAddress(t *testing.T) {
	c := newClock()
	tab := tableOf(c, reservations{mac(2): ip(12)}, 10, 12)
	tab.learn([]Lease{leaseOf(c, 12, mac(1), time.Hour)}, true)
	g := tab.offer(mac(2), noAddr)
	wantGrant(t, "meanwhile", g, Granted, ip(10))
	if !strings.Contains(g.Reason, mac(1).String()) {
		t.Errorf("the reason says not who has the address: %s", g.Reason)
	}
	c.forward(time.Hour)
	take(t, tab, mac(2), ip(12))
}

// TestWhatIsStoredIsNotOffered, although its client has another address by now: two
// servers gave it one each. When the store has it no more, it is free.
func TestWhatIsStoredIsNotOffered(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 11)
	tab.learn([]Lease{leaseOf(c, 10, mac(1), time.Hour)}, false)
	tab.learn([]Lease{leaseOf(c, 11, mac(1), time.Hour)}, false)
	wantGrant(t, "while it is stored", tab.offer(mac(2), ip(10)), NoAddress, noAddr)
	tab.learn([]Lease{{Addr: ip(10)}}, false)
	take(t, tab, mac(2), ip(10))
}

// TestAFailedMoveIsUndone: a client keeps the address that it could not leave.
func TestAFailedMoveIsUndone(t *testing.T) {
	c := newClock()
	r := reservations{}
	tab := tableOf(c, r, 10, 11)
	tab.learn([]Lease{leaseOf(c, 10, mac(1), time.Hour)}, false)
	r[mac(1)] = ip(50)
	_, left, ok := tab.bind(mac(1), tab.request(mac(1), ip(50), false))
	if !ok || left != ip(10) {
		t.Fatalf("left %s, %t", left, ok)
	}
	if rest := tab.unbind(mac(1), ip(50), left); rest != 0 {
		t.Errorf("an address that is not stored is the client's for %s", rest)
	}
	clear(r)
	if !tab.hasStored(mac(1)) {
		t.Error("the client has no lease")
	}
	wantGrant(t, "offer", tab.offer(mac(1), noAddr), Granted, ip(10))
	wantGrant(t, "another client", tab.offer(mac(2), ip(10)), Granted, ip(11))
}

// TestLeasesAreLoadedAgain: what changed unseen is taken over.
func TestLeasesAreLoadedAgain(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 13)
	tab.learn([]Lease{leaseOf(c, 10, mac(1), time.Hour), leaseOf(c, 11, mac(2), time.Hour), leaseOf(c, 12, station{}, time.Hour)}, true)
	binding := tab.request(mac(3), ip(13), false)
	if _, _, ok := tab.bind(mac(3), binding); !ok {
		t.Fatal("the third client gets nothing")
	}
	tab.learn([]Lease{leaseOf(c, 11, mac(4), time.Hour)}, true)
	wantGrant(t, "address that was left", tab.offer(mac(5), ip(10)), Granted, ip(10))
	wantGrant(t, "address that another client has now", tab.request(mac(2), ip(11), false), Refused, noAddr)
	wantGrant(t, "address that is of use again", tab.offer(mac(6), ip(12)), Granted, ip(12))
	wantGrant(t, "lease that is being stored", tab.request(mac(7), ip(13), false), Refused, noAddr)
}

// TestALateTellingIsNoNews: a lost claim says who had an address when it was lost,
// and the store may have told of a later lease before.
func TestALateTellingIsNoNews(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 10)
	tab.learn([]Lease{leaseOf(c, 10, mac(1), time.Hour)}, false)
	tab.concede(mac(2), leaseOf(c, 10, mac(1), time.Minute))
	c.forward(2 * time.Minute)
	wantGrant(t, "offer", tab.offer(mac(2), noAddr), NoAddress, noAddr)
}

// TestAnOfferDoesNotShortenALease: a client whose lease is about to end gets
// an offer, and takes that of another server. Its lease here still is its own.
func TestAnOfferDoesNotShortenALease(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 10)
	take(t, tab, mac(1), ip(10))
	c.forward(time.Hour - 40*time.Second)
	wantGrant(t, "offer in the last minute", tab.offer(mac(1), noAddr), Granted, ip(10))
	tab.withdraw(mac(1))
	wantGrant(t, "offer of a leased address", tab.offer(mac(2), noAddr), NoAddress, noAddr)
	c.forward(offerTime)
	take(t, tab, mac(2), ip(10))
}

// TestAddressesAreFreeOnceNothingHoldsThem: the reservations of the first
// addresses are taken back after others were given out.
func TestAddressesAreFreeOnceNothingHoldsThem(t *testing.T) {
	c := newClock()
	r := reservations{mac(1): ip(10), mac(2): ip(11)}
	tab := tableOf(c, r, 10, 12)
	take(t, tab, mac(9), ip(12))
	wantGrant(t, "while the rest is reserved", tab.offer(mac(3), noAddr), NoAddress, noAddr)
	clear(r)
	c.forward(recheck)
	first := tab.offer(mac(3), noAddr)
	second := tab.offer(mac(4), noAddr)
	if first.Verdict != Granted || second.Verdict != Granted || first.Addr == second.Addr {
		t.Errorf("offers of %v and %v", first, second)
	}
}

func TestFloodOfStrangersStaysBounded(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 19)
	for i := range 10000 {
		tab.offer(station{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}, noAddr)
		c.forward(offerTime / 5)
	}
	queued := 0
	for _, q := range tab.pools[0].known {
		queued += len(q)
	}
	if len(tab.byAddr) > 10 || len(tab.byMAC) > 10 || queued > 10 {
		t.Errorf("%d addresses, %d clients, %d in queues for a pool of 10", len(tab.byAddr), len(tab.byMAC), queued)
	}
}

func TestParseRange(t *testing.T) {
	r, err := ParseRange("10.0.0.100-10.0.0.200")
	if err != nil || r.String() != "10.0.0.100-10.0.0.200" || !r.Contains(ip(100)) || !r.Contains(ip(200)) || r.Contains(ip(99)) || r.Contains(ip(201)) {
		t.Errorf("range %s, %v", r, err)
	}
	for _, bad := range []string{"", "10.0.0.1", "10.0.0.9-10.0.0.1", "::1-::2", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3"} {
		if r, err := ParseRange(bad); err == nil {
			t.Errorf("%q is read as %s", bad, r)
		}
	}
}
