package v6

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"cloudlets/dhcp"
)

// friends is a Booter that knows one machine, and keeps an address for it.
type friends struct {
	dhcp.NoBooter
	mac  net.HardwareAddr
	addr netip.Addr
}

func (f friends) Known(mac net.HardwareAddr) bool { return string(mac) == string(f.mac) }

func (f friends) Reserve(mac net.HardwareAddr, _ netip.Prefix) (dhcp.Reservation, bool) {
	if !f.Known(mac) {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Addr: f.addr}, true
}

func (f friends) Reserved(a netip.Addr) (net.HardwareAddr, bool) { return f.mac, a == f.addr }

func small(pool string) Network {
	n := lab
	n.Pool = ranges(pool)
	return n
}

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func numbered(i int) dhcp.Station { return dhcp.Station{2, 0, 0, 0, byte(i >> 8), byte(i)} }

// TestPoolIsGivenOut to its last address, each to one client, and each client gets its
// own again.
func TestPoolIsGivenOut(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1000-fd77::10ff"), nil, c.now)
	owner := map[netip.Addr]dhcp.Station{}
	for i := range 256 {
		g := table.offer(numbered(i), netip.Addr{})
		if other, twice := owner[g.Addr]; twice || !g.Addr.IsValid() {
			t.Fatalf("client %d is offered %s, which %s has: %s", i, g.Addr, other, g.Reason)
		}
		owner[g.Addr] = numbered(i)
		_, change := table.request(numbered(i), g.Addr)
		table.learn([]dhcp.Lease{change.Lease}, false)
	}
	if g := table.offer(numbered(999), netip.Addr{}); g.Addr.IsValid() || table.used() != 256 {
		t.Errorf("of a full pool with %d used, a client is offered %s", table.used(), g.Addr)
	}
	for a, mac := range owner {
		if g := table.offer(mac, netip.Addr{}); g.Addr != a {
			t.Errorf("%s had %s and is offered %s", mac, a, g.Addr)
		}
	}
	c.at = c.at.Add(2 * time.Hour)
	if g := table.offer(numbered(999), netip.Addr{}); !g.Addr.IsValid() {
		t.Errorf("all leases have ended, and a client is offered nothing: %s", g.Reason)
	}
}

// TestReservedAddress is its machine's alone, and so is a part of the pool.
func TestReservedAddress(t *testing.T) {
	known := dhcp.Station(card)
	f := friends{mac: card, addr: netip.MustParseAddr("fd77::21")}
	table := newTable(small("fd77::1000-fd77::1003"), f, time.Now)
	if g := table.offer(known, netip.Addr{}); g.Addr != f.addr {
		t.Errorf("the machine is offered %s: %s", g.Addr, g.Reason)
	}
	given := 0
	for i := range 4 {
		if table.offer(numbered(i), f.addr).Addr.IsValid() {
			given++
		}
	}
	if given != 3 {
		t.Errorf("strangers were offered %d of 4 addresses, want 3: the last one is for machines of the site", given)
	}
	if g, _ := table.request(numbered(1), f.addr); g.Addr.IsValid() {
		t.Error("a stranger got the reserved address")
	}
	if g, _ := table.request(known, netip.MustParseAddr("fd99::1")); !g.Off {
		t.Errorf("an address of another link: %+v", g)
	}
}

// TestDeclined: an address at which a client found another station is given to nobody
// for a while. Only its client can decline it.
func TestDeclined(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1000-fd77::1000"), nil, c.now)
	mac, a := dhcp.Station(card), netip.MustParseAddr("fd77::1000")
	g := table.offer(mac, netip.Addr{})
	_, change := table.request(mac, g.Addr)
	table.learn([]dhcp.Lease{change.Lease}, false)
	if _, ok := table.giveBack(dhcp.Station(other), a, true); ok {
		t.Error("a client declined another's address")
	}
	change, ok := table.giveBack(mac, a, true)
	if !ok || !change.Held {
		t.Fatalf("the client cannot decline its address: %+v", change)
	}
	table.learn([]dhcp.Lease{change.Lease}, false)
	for _, m := range []dhcp.Station{mac, dhcp.Station(other)} {
		if g := table.offer(m, a); g.Addr.IsValid() {
			t.Errorf("%s is offered the declined address", m)
		}
	}
	c.at = c.at.Add(quarantine + time.Second)
	if g := table.offer(dhcp.Station(other), netip.Addr{}); g.Addr != a {
		t.Errorf("after the quarantine, a client is offered %s: %s", g.Addr, g.Reason)
	}
}

// TestAddressGoesOn: when one client's address goes on to others, nothing is remembered
// of the clients that had it.
func TestAddressGoesOn(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1000-fd77::1000"), nil, c.now)
	for i := range 10 {
		g := table.offer(numbered(i), netip.Addr{})
		if !g.Addr.IsValid() {
			t.Fatalf("client %d is offered nothing: %s", i, g.Reason)
		}
		if i%2 == 0 {
			_, change := table.request(numbered(i), g.Addr)
			table.learn([]dhcp.Lease{change.Lease}, false)
		}
		c.at = c.at.Add(2 * time.Hour)
	}
	if len(table.offered) > 1 || len(table.leased) > 1 {
		t.Errorf("of one address, %d offers and %d leases are remembered", len(table.offered), len(table.leased))
	}
}

// TestOffersAreKeptApart: a client that comes back late does not end the offer that
// another one got meanwhile of its old address.
func TestOffersAreKeptApart(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1000-fd77::10ff"), nil, c.now)
	a := netip.MustParseAddr("fd77::1001")
	for i := range 2 {
		if g := table.offer(numbered(i), a); g.Addr != a {
			t.Fatalf("client %d is offered %s: %s", i, g.Addr, g.Reason)
		}
		c.at = c.at.Add(offerTime + time.Second)
	}
	c.at = c.at.Add(-offerTime)
	table.offer(numbered(0), netip.Addr{})
	if g := table.offer(numbered(2), a); g.Addr == a {
		t.Error("a third client is offered what the second one is offered")
	}
}

// TestLargePool: the largest pool works, and what is remembered of it is bounded.
func TestLargePool(t *testing.T) {
	n := small("fd77::-fd77::ffff:ffff:ffff:ffff")
	if got := pool(n.Pool).size(); got != math.MaxUint64 {
		t.Errorf("size %d", got)
	}
	c := &clock{time.Now()}
	table := newTable(n, nil, c.now)
	refused := 0
	for i := range maxEntries + 1 {
		if g := table.offer(many(i), netip.Addr{}); !g.Addr.IsValid() {
			refused++
		}
	}
	// Of the first addresses, one is that of any router, and one is the name server's.
	if refused != 3 {
		t.Errorf("%d clients of %d are refused, want 3", refused, maxEntries+1)
	}
	c.at = c.at.Add(2 * offerTime)
	if g := table.offer(dhcp.Station(card), netip.Addr{}); !g.Addr.IsValid() {
		t.Errorf("the offers have ended, and a client is offered nothing: %s", g.Reason)
	}
}

func many(i int) dhcp.Station { return dhcp.Station{2, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

// TestStrangersInALargePool use its addresses again when their leases have ended, so the
// lease store stays bounded. They leave room for a machine of the site.
func TestStrangersInALargePool(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1:0-fd77::ffff:ffff:ffff:ffff"), friends{mac: card}, c.now)
	stored := map[netip.Addr]bool{}
	for i := range 70_000 {
		g := table.offer(many(i), netip.AddrFrom16([16]byte{0xfd, 0x77, 8: 9, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}))
		if g.Addr.IsValid() {
			_, change := table.request(many(i), g.Addr)
			stored[g.Addr] = true
			table.learn([]dhcp.Lease{change.Lease}, false)
		}
		if i%20_000 == 0 {
			c.at = c.at.Add(2 * dhcp.DefaultLeaseTime)
		}
	}
	if len(stored) > maxEntries {
		t.Errorf("strangers used %d addresses", len(stored))
	}
	for i := range maxEntries {
		table.offer(many(i), netip.Addr{})
	}
	if g := table.offer(dhcp.Station(card), netip.Addr{}); !g.Addr.IsValid() {
		t.Errorf("strangers have all that they may have, and a machine of the site gets nothing: %s", g.Reason)
	}
}

// TestRoomForTheSite: where leases of any part of the subnet fill most of the table, only a
// machine of the site gets another address.
func TestRoomForTheSite(t *testing.T) {
	table := newTable(small("fd77::1:0-fd77::ffff:ffff:ffff:ffff"), friends{mac: card}, time.Now)
	var leases []dhcp.Lease
	for i := range maxEntries - maxEntries/ownShare {
		a := netip.AddrFrom16([16]byte{0xfd, 0x77, 8: 9, 14: byte(i >> 8), 15: byte(i)})
		mac := many(i)
		leases = append(leases, dhcp.Lease{Addr: a, MAC: mac[:], Expires: time.Now().Add(time.Hour)})
	}
	table.learn(leases, true)
	if g := table.offer(numbered(1), netip.Addr{}); g.Addr.IsValid() {
		t.Errorf("a stranger is offered %s", g.Addr)
	}
	if g := table.offer(dhcp.Station(card), netip.Addr{}); !g.Addr.IsValid() {
		t.Errorf("a machine of the site is offered nothing: %s", g.Reason)
	}
}

// TestLeaseBeyondTheUsedPart of a large pool goes on as long as its client renews it.
func TestLeaseBeyondTheUsedPart(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1:0-fd77::ffff:ffff:ffff:ffff"), friends{mac: card}, c.now)
	a := netip.MustParseAddr("fd77::77:0:0:1")
	table.learn([]dhcp.Lease{{Addr: a, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Expires: c.at.Add(time.Hour)}}, true)
	if g, _ := table.request(numbered(1), a); g.Addr != a {
		t.Errorf("the client cannot renew its lease: %s", g.Reason)
	}
	c.at = c.at.Add(2 * time.Hour)
	for _, mac := range []dhcp.Station{numbered(1), dhcp.Station(card)} {
		if g := table.offer(mac, a); g.Addr == a || !g.Addr.IsValid() {
			t.Errorf("after the lease has ended, %s is offered %s", mac, g.Addr)
		}
	}
}

// TestFullPool: a look through a full pool is long. So strangers cause one in a second,
// and whoever has an offer keeps it without one.
func TestFullPool(t *testing.T) {
	c := &clock{time.Now()}
	table := newTable(small("fd77::1000-fd77::1003"), friends{mac: card}, c.now)
	offers := map[dhcp.Station]netip.Addr{}
	for i := range 4 {
		offers[numbered(i)] = table.offer(numbered(i), netip.Addr{}).Addr
	}
	for mac, a := range offers {
		if g := table.offer(mac, netip.Addr{}); g.Addr != a {
			t.Errorf("%s was offered %s, and when it asks again %s: %s", mac, a, g.Addr, g.Reason)
		}
	}
	table.withdraw(numbered(0))
	if g := table.offer(numbered(9), netip.Addr{}); g.Addr.IsValid() {
		t.Errorf("there was a look through the pool at once: %s is offered", g.Addr)
	}
	c.at = c.at.Add(sweepPause)
	if g := table.offer(numbered(9), netip.Addr{}); g.Addr != offers[numbered(0)] {
		t.Errorf("of the address that is free again, a client gets %s: %s", g.Addr, g.Reason)
	}
}

func TestPlaces(t *testing.T) {
	p := pool(ranges("fd77::10-fd77::1f", "fd77::100-fd77::10f"))
	if p.size() != 32 {
		t.Fatalf("size %d", p.size())
	}
	for i := range p.size() {
		if a := p.at(i); !p.contains(a) || p.index(a) != i {
			t.Errorf("at %d is %s, which is at %d", i, a, p.index(a))
		}
	}
	for text, want := range map[string]bool{"fd77::1-fd77::2": true, "fd78::1-fd78::2": false, "fd77::2-fd77::1": false} {
		if err := small(text).validate(); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	wide := Network{Subnet: netip.MustParsePrefix("fd77::/48"), Pool: ranges("fd77::1-fd77:0:0:1::1")}
	if err := wide.validate(); err == nil {
		t.Error(fmt.Sprint("a pool over several /64 is allowed: ", wide.Pool))
	}
}
