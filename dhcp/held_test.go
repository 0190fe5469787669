package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestNoAddressOfThisHostIsGiven: the host has three addresses in the pool, one of them
// since the server runs, and loses one again.
func TestNoAddressOfThisHostIsGiven(t *testing.T) {
	c := newClock()
	own := map[netip.Addr]bool{ip(10): true, ip(12): true}
	tab := tableOf(c, nil, 10, 14)
	tab.host = &hostAddresses{now: c.Now, list: func() (addrs []netip.Addr, err error) {
		for a := range own {
			addrs = append(addrs, a)
		}
		return addrs, nil
	}}
	take(t, tab, mac(1), ip(11))
	own[ip(13)] = true
	c.forward(hostRecheck)
	wantGrant(t, "wants an address of this host", tab.offer(mac(2), ip(13)), Granted, ip(14))
	wantGrant(t, "requests an address of this host", tab.request(mac(2), ip(13), false), Refused, noAddr)
	own[ip(11)] = true
	c.forward(hostRecheck)
	g := tab.request(mac(1), ip(11), false)
	wantGrant(t, "renews what is the host's by now", g, Refused, noAddr)
	if !strings.Contains(g.Reason, "an address of this server") {
		t.Errorf("the reason is %q", g.Reason)
	}
	wantGrant(t, "from a pool that is used up", tab.offer(mac(3), noAddr), NoAddress, noAddr)
	delete(own, ip(12))
	c.forward(recheck)
	wantGrant(t, "of what the host has no more", tab.offer(mac(3), noAddr), Granted, ip(12))
}

// TestServerLooksAtAllAddressesOfItsHost, and not only at the one that it serves from.
func TestServerLooksAtAllAddressesOfItsHost(t *testing.T) {
	clock := newClock()
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Now = clock.Now
		s.system.(*fakeSystem).addAddress("10.77.0.100") // before it is first looked for
	})
	if e := b.put(sampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.101" {
		t.Errorf("the first client is offered %s", e.Addr)
	}
	b.addAddress("10.77.0.101")
	clock.forward(hostRecheck)
	if e := b.put(sampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.102" {
		t.Errorf("after the host got its address, the client is offered %s", e.Addr)
	}
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
		r := reservations{}
		if a, err := netip.ParseAddr(address); err == nil {
			r[mac(1)] = a
		}
		c := newClock()
		n := Network{Subnet: netip.MustParsePrefix("10.0.0.0/24"), Pool: Ranges{{ip(10), ip(12)}}, Router: ip(2), DNS: []netip.Addr{ip(53)}, LeaseTime: time.Hour}
		tab := newTable(n, r, c.Now, ip(1), ip(2), ip(53))
		tab.host = &hostAddresses{now: c.Now, list: func() ([]netip.Addr, error) { return []netip.Addr{ip(3)}, nil }}
		g := tab.offer(mac(1), noAddr)
		if !strings.Contains(g.Reason, why) || !strings.Contains(g.misplaced, why) {
			t.Errorf("%s: the reason is %q, want %q in it", address, g.Reason, why)
		}
		take(t, tab, mac(1), ip(10))
	}
}

// TestAMisplacedReservationIsLogged once, with the reason.
func TestAMisplacedReservationIsLogged(t *testing.T) {
	log := &syncBuffer{}
	s := sampleNamed(t, "udhcpc-discover")
	b := startBed(t, poolInterface(), func(srv *Server) {
		srv.Log = log.logger()
		srv.Booter = struct {
			Booter
			Reserver
		}{booterFunc(testBoot), reservations{station(s.req.Client.MAC): netip.MustParseAddr("10.77.0.1")}}
	})
	for range 2 {
		if e := b.put(s); e.Reply != "OFFER" || e.Addr.String() != "10.77.0.100" {
			t.Errorf("exchange %+v", e)
		}
	}
	if lines := log.lines("reserved address 10.77.0.1 is an address of this server"); len(lines) != 1 {
		t.Errorf("the log says it %d times: %q", len(lines), lines)
	}
}

// named is a Reserver that knows names and no addresses.
type named string

func (n named) Reserve(net.HardwareAddr, netip.Prefix) (Reservation, bool) {
	return Reservation{Hostname: string(n)}, true
}
func (n named) Reserved(netip.Addr) (mac net.HardwareAddr, ok bool) { return nil, false }

// TestANameWithoutAnAddress is sent with an address of the pool (option 12).
func TestANameWithoutAnAddress(t *testing.T) {
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Booter = struct {
			Booter
			Reserver
		}{booterFunc(testBoot), named("web1")}
	})
	if e := b.put(sampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.100" {
		t.Errorf("exchange %+v", e)
	}
	if name := parseSent(t, b.got()).HostName(); name != "web1" {
		t.Errorf("the client is named %q", name)
	}
}
