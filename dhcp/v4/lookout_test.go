package v4

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/table"
)

// stationsAt makes a network in which stations have addresses of the pool.
func stationsAt(has map[string]dhcp.Station) func(*bed) {
	return func(b *bed) {
		b.stations.has = map[netip.Addr]dhcp.Station{}
		for a, m := range has {
			b.stations.has[netip.MustParseAddr(a)] = m
		}
	}
}

// startBedAmong is startBed in a network with stations.
func startBedAmong(t *testing.T, has map[string]dhcp.Station, change func(*Server)) *bed {
	return startBed(t, poolInterface(), func(s *Server) {
		stationsAt(has)(&bed{fakeSystem: s.system.(*fakeSystem)})
		if change != nil {
			change(s)
		}
	})
}

func TestAnAddressThatAStationHasIsNotOffered(t *testing.T) {
	log := &dhcptest.Log{}
	b := startBedAmong(t, map[string]dhcp.Station{"10.77.0.100": dhcptest.MAC(8), "10.77.0.101": dhcptest.MAC(9)}, func(s *Server) { s.Log = log.Logger() })
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Reply != "OFFER" || e.Addr.String() != "10.77.0.102" || e.Client.Addr != e.Addr {
		t.Errorf("exchange %+v", e)
	}
	if p := parseSent(t, b.got()); p.YourIPAddr.String() != "10.77.0.102" {
		t.Errorf("the OFFER is of %s", p.YourIPAddr)
	}
	const said = "has an address of the pool without a lease"
	log.Await(t, said)
	// A client that asks for such an address gets another one.
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	s.Req.Packet.ClientHWAddr[5]++
	s.Req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress([]byte{10, 77, 0, 101}))
	if e := b.put(s); e.Addr.String() != "10.77.0.103" {
		t.Errorf("who asks for an address that another has is offered %s", e.Addr)
	}
	// And a REQUEST for it is refused, with the reason.
	s.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	if e := b.put(s); e.Reply != "NAK" || !strings.Contains(e.Reason, dhcptest.MAC(9).String()) {
		t.Errorf("who requests it: %+v", e)
	}
	if lines := log.Lines(said); len(lines) != 1 {
		t.Errorf("the log says it %d times: %q", len(lines), lines)
	}
}

// TestAStationThatHasAnAddressMayLeaseIt: the server has lost the leases, or its clock
// was wrong. The client that still has an address renews it, and nobody else gets it.
func TestAStationThatHasAnAddressMayLeaseIt(t *testing.T) {
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	own := dhcp.Station(s.Req.Client.MAC)
	b := startBedAmong(t, map[string]dhcp.Station{"10.77.0.100": own}, nil)
	stranger := dhcptest.SampleNamed(t, "udhcpc-discover")
	stranger.Req.Packet.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 7}
	if e := b.put(stranger); e.Addr.String() != "10.77.0.101" {
		t.Errorf("another client is offered %s", e.Addr)
	}
	if e := b.put(s); e.Addr.String() != "10.77.0.100" {
		t.Errorf("who has the address is offered %s", e.Addr)
	}
	s.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	s.Req.Packet.ClientIPAddr = net.IP{10, 77, 0, 100}
	if e := b.put(s); e.Reply != "ACK" {
		t.Errorf("who has the address renews it: %+v", e)
	}
}

// TestNoLookWhereNoneIsNeeded: for a client's own address, a reserved one, and one that
// was looked at before.
func TestNoLookWhereNoneIsNeeded(t *testing.T) {
	c := dhcptest.NewClock()
	stations := &fakeNeighbours{}
	n := dhcp.Network{Subnet: netip.MustParsePrefix("10.0.0.0/24"), Pool: dhcp.Ranges{{First: dhcptest.IP(10), Last: dhcptest.IP(20)}}, LeaseTime: time.Hour}
	tab := table.New(n, dhcptest.Reservations{dhcptest.MAC(5): dhcptest.IP(50)}, c.Now)
	l := newLookout(stations, tab, c.Now, (&dhcptest.Log{}).Logger())
	if g := tab.Offer(dhcptest.MAC(5), netip.Addr{}); l.needsLook(g) {
		t.Errorf("a reserved address is looked at: %+v", g)
	}
	if g := tab.Offer(dhcptest.MAC(1), netip.Addr{}); !l.needsLook(g) {
		t.Error("a new client's address is not looked at")
	}
	l.lookAhead(t.Context())
	if slices.Contains(stations.asked, dhcptest.IP(10)) || !slices.Contains(stations.asked, dhcptest.IP(11)) || len(stations.asked) != 10 {
		t.Errorf("looked ahead at %v", stations.asked)
	}
	if g := tab.Offer(dhcptest.MAC(2), netip.Addr{}); l.needsLook(g) {
		t.Error("an address that was looked at is looked at again")
	}
	c.Forward(freeFor)
	if g := tab.Offer(dhcptest.MAC(2), netip.Addr{}); !l.needsLook(g) {
		t.Error("an address that was looked at long ago is not looked at")
	}
	g := tab.Request(dhcptest.MAC(2), dhcptest.IP(11), true)
	if _, _, ok := tab.Bind(dhcptest.MAC(2), g); g.Verdict != dhcp.Granted || g.Addr != dhcptest.IP(11) || !ok {
		t.Errorf("a request: %+v", g)
	}
	c.Forward(48 * time.Hour)
	if g := tab.Offer(dhcptest.MAC(2), netip.Addr{}); g.Addr != dhcptest.IP(11) || l.needsLook(g) {
		t.Errorf("an address that the client had is looked at: %+v", g)
	}
}

// TestMoreAreLookedAtWhenManyCome: as many as come in two seconds, within bounds. When
// fewer come, the number falls by half at each look.
func TestMoreAreLookedAtWhenManyCome(t *testing.T) {
	c := dhcptest.NewClock()
	n := dhcp.Network{Subnet: netip.MustParsePrefix("10.0.0.0/16"), Pool: dhcp.Ranges{{First: dhcptest.IP(10), Last: netip.MustParseAddr("10.0.255.0")}}}
	stations := &fakeNeighbours{}
	tab := table.New(n, nil, c.Now)
	l := newLookout(stations, tab, c.Now, (&dhcptest.Log{}).Logger())
	client := 0
	for _, round := range []struct {
		offers int
		passed time.Duration
		want   int
	}{
		{0, 0, minAhead}, {1, time.Hour, minAhead}, {1, time.Millisecond, minAhead}, {100, time.Second, 200}, {500, time.Second, 1000},
		{2000, 250 * time.Millisecond, maxAhead}, {100, time.Second, maxAhead / 2}, {100, time.Second, maxAhead / 4}, {1, time.Hour, maxAhead / 8},
	} {
		for range round.offers {
			client++
			l.needsLook(tab.Offer(dhcp.Station{2, 0, 0, 0, byte(client >> 8), byte(client)}, netip.Addr{}))
		}
		c.Forward(round.passed)
		stations.asked, l.free = nil, map[netip.Addr]time.Time{}
		if l.lookAhead(t.Context()); len(stations.asked) != round.want {
			t.Errorf("after %d offers in %s, %d addresses are looked at, want %d", round.offers, round.passed, len(stations.asked), round.want)
		}
	}
}

// TestAHostWithAFixedAddress keeps it: a real host has the first address of the pool,
// and another host came up with the third one.
func TestAHostWithAFixedAddress(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "add", "fixed", "link", "eth0", "type", "macvlan", "mode", "bridge")
	host := w.Client + "f"
	dhcptest.Run(t, "ip", "netns", "add", host)
	t.Cleanup(func() { dhcptest.Run(t, "ip", "netns", "del", host) })
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", "fixed", "netns", host)
	dhcptest.Run(t, "ip", "-n", host, "addr", "add", "10.99.0.100/24", "dev", "fixed")
	dhcptest.Run(t, "ip", "-n", host, "addr", "add", "10.99.0.102/24", "dev", "fixed")
	dhcptest.Run(t, "ip", "-n", host, "link", "set", "fixed", "up")
	serve(t, w.Server, foreignPool(199))
	for _, want := range []string{"10.99.0.101", "10.99.0.103"} {
		out := dhcptest.In(t, w.Client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
		if !strings.Contains(out, "lease of "+want+" obtained from 10.99.0.1,") {
			t.Errorf("want a lease of %s; udhcpc says:\n%s", want, out)
		}
		dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", "eth0", "address", "02:00:00:00:00:99") // another client
	}
}

// TestTheLatestFreeAddressesAreRemembered: a pool that is given out fast does not forget the
// addresses that were looked at ahead of need.
func TestTheLatestFreeAddressesAreRemembered(t *testing.T) {
	l := newLookout(nil, nil, time.Now, nil)
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }
	for n := range 3 * maxFree {
		l.noteFree([]netip.Addr{addr(n)}, nil)
		if early := max(n-maxAhead, 0); !l.isFree(addr(n)) || !l.isFree(addr(early)) {
			t.Fatalf("after %d addresses one of the last %d is forgotten", n+1, maxAhead)
		}
		if size := len(l.free) + len(l.before); size > maxFree {
			t.Fatalf("%d addresses are remembered, want %d at most", size, maxFree)
		}
	}
}
