package v4

import (
	"net"
	"net/netip"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestServerLooksAtAllAddressesOfItsHost, and not only at the one that it serves from.
func TestServerLooksAtAllAddressesOfItsHost(t *testing.T) {
	clock := dhcptest.NewClock()
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Now = clock.Now
		s.system.(*fakeSystem).addAddress("10.77.0.100") // before it is first looked for
	})
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.101" {
		t.Errorf("the first client is offered %s", e.Addr)
	}
	b.addAddress("10.77.0.101")
	clock.Forward(hostRecheck)
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.102" {
		t.Errorf("after the host got its address, the client is offered %s", e.Addr)
	}
}

// TestAddressesOfTheHostComeAndGo: what a person adds or removes counts after a second.
func TestAddressesOfTheHostComeAndGo(t *testing.T) {
	c := dhcptest.NewClock()
	has := []netip.Addr{dhcptest.IP(10)}
	h := &hostAddresses{now: c.Now, list: func() ([]netip.Addr, error) { return has, nil }}
	if !h.has(dhcptest.IP(10)) || h.has(dhcptest.IP(11)) {
		t.Error("not exactly the first address is the host's")
	}
	has = []netip.Addr{dhcptest.IP(11)}
	c.Forward(hostRecheck)
	if h.has(dhcptest.IP(10)) || !h.has(dhcptest.IP(11)) {
		t.Error("after a second, not exactly the second address is the host's")
	}
}

// TestAMisplacedReservationIsLogged once, with the reason.
func TestAMisplacedReservationIsLogged(t *testing.T) {
	log := &dhcptest.Log{}
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	b := startBed(t, poolInterface(), func(srv *Server) {
		srv.Log = log.Logger()
		srv.Booter = struct {
			dhcp.Booter
			dhcp.Reserver
		}{booterFunc(dhcptest.Boot), dhcptest.Reservations{dhcp.Station(s.Req.Client.MAC): netip.MustParseAddr("10.77.0.1")}}
	})
	for range 2 {
		if e := b.put(s); e.Reply != "OFFER" || e.Addr.String() != "10.77.0.100" {
			t.Errorf("exchange %+v", e)
		}
	}
	if lines := log.Lines("reserved address 10.77.0.1 is an address of this server"); len(lines) != 1 {
		t.Errorf("the log says it %d times: %q", len(lines), lines)
	}
}

// named is a Reserver that knows names and no addresses.
type named string

func (n named) Reserve(net.HardwareAddr, netip.Prefix) (dhcp.Reservation, bool) {
	return dhcp.Reservation{Hostname: string(n)}, true
}

func (n named) Reserved(netip.Addr) (mac net.HardwareAddr, ok bool) { return nil, false }

// TestANameWithoutAnAddress is sent with an address of the pool (option 12).
func TestANameWithoutAnAddress(t *testing.T) {
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Booter = struct {
			dhcp.Booter
			dhcp.Reserver
		}{booterFunc(dhcptest.Boot), named("web1")}
	})
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.100" {
		t.Errorf("exchange %+v", e)
	}
	if name := parseSent(t, b.got()).HostName(); name != "web1" {
		t.Errorf("the client is named %q", name)
	}
}
