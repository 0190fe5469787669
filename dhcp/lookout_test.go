package dhcp

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// stationsAt makes a network in which stations have addresses of the pool.
func stationsAt(has map[string]station) func(*bed) {
	return func(b *bed) {
		b.stations.has = map[netip.Addr]station{}
		for a, m := range has {
			b.stations.has[netip.MustParseAddr(a)] = m
		}
	}
}

// startBedAmong is startBed in a network with stations.
func startBedAmong(t *testing.T, has map[string]station, change func(*Server)) *bed {
	return startBed(t, poolInterface(), func(s *Server) {
		stationsAt(has)(&bed{fakeSystem: s.system.(*fakeSystem)})
		if change != nil {
			change(s)
		}
	})
}

func TestAnAddressThatAStationHasIsNotOffered(t *testing.T) {
	log := &syncBuffer{}
	b := startBedAmong(t, map[string]station{"10.77.0.100": mac(8), "10.77.0.101": mac(9)}, func(s *Server) { s.Log = log.logger() })
	if e := b.put(sampleNamed(t, "udhcpc-discover")); e.Reply != "OFFER" || e.Addr.String() != "10.77.0.102" || e.Client.Addr != e.Addr {
		t.Errorf("exchange %+v", e)
	}
	if p := parseSent(t, b.got()); p.YourIPAddr.String() != "10.77.0.102" {
		t.Errorf("the OFFER is of %s", p.YourIPAddr)
	}
	if lines := log.lines("has an address of the pool without a lease"); len(lines) != 1 {
		t.Errorf("the log says it %d times: %q", len(lines), lines)
	}
	// A client that asks for such an address gets another one.
	s := sampleNamed(t, "udhcpc-discover")
	s.req.Packet.ClientHWAddr[5]++
	s.req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress([]byte{10, 77, 0, 101}))
	if e := b.put(s); e.Addr.String() != "10.77.0.103" {
		t.Errorf("who asks for an address that another has is offered %s", e.Addr)
	}
	// And a REQUEST for it is refused, with the reason.
	s.req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	if e := b.put(s); e.Reply != "NAK" || !strings.Contains(e.Reason, mac(9).String()) {
		t.Errorf("who requests it: %+v", e)
	}
}

// TestAStationThatHasAnAddressMayLeaseIt: the server has lost the leases, or its clock
// was wrong. The client that still has an address renews it, and nobody else gets it.
func TestAStationThatHasAnAddressMayLeaseIt(t *testing.T) {
	s := sampleNamed(t, "udhcpc-discover")
	own := station(s.req.Client.MAC)
	b := startBedAmong(t, map[string]station{"10.77.0.100": own}, nil)
	stranger := sampleNamed(t, "udhcpc-discover")
	stranger.req.Packet.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 7}
	if e := b.put(stranger); e.Addr.String() != "10.77.0.101" {
		t.Errorf("another client is offered %s", e.Addr)
	}
	if e := b.put(s); e.Addr.String() != "10.77.0.100" {
		t.Errorf("who has the address is offered %s", e.Addr)
	}
	s.req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	s.req.Packet.ClientIPAddr = net.IP{10, 77, 0, 100}
	if e := b.put(s); e.Reply != "ACK" {
		t.Errorf("who has the address renews it: %+v", e)
	}
}

// TestNoLookWhereNoneIsNeeded: for a client's own address, a reserved one, and one that
// was looked at before.
func TestNoLookWhereNoneIsNeeded(t *testing.T) {
	c := newClock()
	stations := &fakeNeighbours{}
	tab := tableOf(c, reservations{mac(5): ip(50)}, 10, 20)
	l := newLookout(stations, tab, c.Now, (&syncBuffer{}).logger())
	if g := tab.offer(mac(5), noAddr); l.needsLook(g) {
		t.Errorf("a reserved address is looked at: %+v", g)
	}
	if g := tab.offer(mac(1), noAddr); !l.needsLook(g) {
		t.Error("a new client's address is not looked at")
	}
	l.lookAhead(t.Context())
	if slices.Contains(stations.asked, ip(10)) || !slices.Contains(stations.asked, ip(11)) || len(stations.asked) != 10 {
		t.Errorf("looked ahead at %v", stations.asked)
	}
	if g := tab.offer(mac(2), noAddr); l.needsLook(g) {
		t.Error("an address that was looked at is looked at again")
	}
	c.forward(freeFor)
	if g := tab.offer(mac(2), noAddr); !l.needsLook(g) {
		t.Error("an address that was looked at long ago is not looked at")
	}
	wantGrant(t, "request", tab.request(mac(2), ip(11), true), Granted, ip(11))
	tab.bind(mac(2), tab.request(mac(2), ip(11), true))
	c.forward(48 * time.Hour)
	if g := tab.offer(mac(2), noAddr); g.Addr != ip(11) || l.needsLook(g) {
		t.Errorf("an address that the client had is looked at: %+v", g)
	}
}

// TestMoreAreLookedAtWhenManyCome: as many as come in two seconds, within bounds. When
// fewer come, the number falls by half at each look.
func TestMoreAreLookedAtWhenManyCome(t *testing.T) {
	c := newClock()
	n := Network{Subnet: netip.MustParsePrefix("10.0.0.0/16"), Pool: Ranges{{ip(10), netip.MustParseAddr("10.0.255.0")}}}
	stations := &fakeNeighbours{}
	tab := newTable(n, nil, c.Now)
	l := newLookout(stations, tab, c.Now, (&syncBuffer{}).logger())
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
			l.needsLook(tab.offer(station{2, 0, 0, 0, byte(client >> 8), byte(client)}, noAddr))
		}
		c.forward(round.passed)
		stations.asked, l.free = nil, map[netip.Addr]time.Time{}
		if l.lookAhead(t.Context()); len(stations.asked) != round.want {
			t.Errorf("after %d offers in %s, %d addresses are looked at, want %d", round.offers, round.passed, len(stations.asked), round.want)
		}
	}
}

// TestTheStationsOwnLeaseIsKept: a host that has a lease and answers at a second
// address does not lose the lease by that.
func TestTheStationsOwnLeaseIsKept(t *testing.T) {
	c := newClock()
	tab := tableOf(c, nil, 10, 12)
	take(t, tab, mac(1), ip(10))
	if tab.occupy(ip(10), mac(7)) {
		t.Error("an address with a lease is taken out of use")
	}
	if !tab.occupy(ip(11), mac(1)) {
		t.Error("an address without a lease is not taken out of use")
	}
	wantGrant(t, "renewal", tab.request(mac(1), ip(10), false), Granted, ip(10))
	take(t, tab, mac(2), ip(12))
	wantGrant(t, "while it is out of use", tab.offer(mac(3), noAddr), NoAddress, noAddr)
	c.forward(quarantine)
	wantGrant(t, "after that", tab.offer(mac(3), noAddr), Granted, ip(11))
}

// TestAHostWithAFixedAddress keeps it: a real host has the first address of the pool,
// and another host came up with the third one.
func TestAHostWithAFixedAddress(t *testing.T) {
	need(t, "udhcpc", "udhcpc")
	w := newWire(t)
	run(t, "ip", "-n", w.client, "link", "add", "fixed", "link", "eth0", "type", "macvlan", "mode", "bridge")
	host := w.client + "f"
	run(t, "ip", "netns", "add", host)
	t.Cleanup(func() { run(t, "ip", "netns", "del", host) })
	run(t, "ip", "-n", w.client, "link", "set", "fixed", "netns", host)
	run(t, "ip", "-n", host, "addr", "add", "10.99.0.100/24", "dev", "fixed")
	run(t, "ip", "-n", host, "addr", "add", "10.99.0.102/24", "dev", "fixed")
	run(t, "ip", "-n", host, "link", "set", "fixed", "up")
	serve(t, w.server, foreignPool(199))
	for _, want := range []string{"10.99.0.101", "10.99.0.103"} {
		out := in(t, w.client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
		if !strings.Contains(out, "lease of "+want+" obtained from 10.99.0.1,") {
			t.Errorf("want a lease of %s; udhcpc says:\n%s", want, out)
		}
		run(t, "ip", "-n", w.client, "link", "set", "eth0", "address", "02:00:00:00:00:99") // another client
	}
}

// TestARP: a real host answers, a real network without one is silent, and who stops
// waiting does so at once.
func TestARP(t *testing.T) {
	w := newWire(t)
	run(t, "ip", "-n", w.client, "addr", "add", "10.99.0.100/24", "dev", "eth0")
	err := inside(w.server, func() error {
		a, err := openARP("eth0", linux{}.pause)
		if err != nil {
			return err
		}
		defer a.Close()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- a.run(ctx) }()
		host, own, nobody := netip.MustParseAddr("10.99.0.100"), netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.7")
		for _, all := range [][]netip.Addr{{host}, {own, host, nobody}} {
			holders, err := a.holders(ctx, all...)
			if err != nil || len(holders) != 1 || holders[host] == (station{}) {
				t.Errorf("of %v, these are found: %v, %v", all, holders, err)
			}
		}
		stop()
		if holders, _ := a.holders(ctx, host); len(holders) != 0 {
			t.Error("an answer after the end")
		}
		if len(a.asked) != 0 {
			t.Errorf("%d questions are left", len(a.asked))
		}
		return <-ended
	})
	if err != nil {
		t.Error(err)
	}
}
