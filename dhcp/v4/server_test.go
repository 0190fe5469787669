package v4

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/serving"
)

func poolInterface() Interface {
	return Interface{Network: dhcp.Network{Pool: dhcp.Ranges{dhcp.Range{First: netip.MustParseAddr("10.77.0.100"), Last: netip.MustParseAddr("10.77.0.199")}}}}
}

func parseSent(t *testing.T, s sent) *dhcpv4.DHCPv4 {
	t.Helper()
	p, err := dhcpv4.FromBytes(s.data)
	if err != nil {
		t.Fatalf("server sent rubbish: %v", err)
	}
	return p
}

func TestServerGivesLeases(t *testing.T) {
	store := &dhcp.MemoryLeases{}
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = store })

	e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	if e.Request != "DISCOVER" || e.Reply != "OFFER" || e.Addr.String() != "10.77.0.100" || e.Reason == "" {
		t.Errorf("exchange %+v", e)
	}
	offer := b.got()
	if offer.mac != "52:54:00:00:00:03" || offer.to.String() != "10.77.0.100:68" || offer.port != dhcp.ServerPort {
		t.Errorf("a client without an address is answered at %s, hardware address %q, from port %d", offer.to, offer.mac, offer.port)
	}
	if leases := dhcptest.Stored(store); len(leases) != 0 {
		t.Errorf("an offer alone is stored: %v", leases)
	}
	p := parseSent(t, offer)
	if p.SubnetMask().String() != "ffffff00" || p.ServerIdentifier().String() != "10.77.0.1" {
		t.Errorf("what was left open did not come from the interface: %s", p.Summary())
	}

	e = b.put(dhcptest.SampleNamed(t, "udhcpc-request"))
	if e.Reply != "ACK" {
		t.Fatalf("exchange %+v", e)
	}
	leases := dhcptest.Stored(store)
	if len(leases) != 1 || leases[0].MAC.String() != "52:54:00:00:00:03" || leases[0].Hostname != "box" {
		t.Errorf("stored leases: %v", leases)
	}
}

func TestServerKeepsLeasesOverRestart(t *testing.T) {
	store := &dhcp.MemoryLeases{}
	withStore := func(s *Server) { s.Leases = store }
	b := startBed(t, poolInterface(), withStore)
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.put(dhcptest.SampleNamed(t, "udhcpc-request"))
	b.end()

	b = startBed(t, poolInterface(), withStore)
	if e := b.put(dhcptest.SampleNamed(t, "bios-pxe-discover")); e.Addr.String() != "10.77.0.101" {
		t.Errorf("after a restart, another client is offered %s", e.Addr)
	}
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.100" {
		t.Errorf("after a restart, the client is offered %s instead of its own", e.Addr)
	}
}

func TestServerAsProxy(t *testing.T) {
	b := startBed(t, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}}, nil)
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Reply != "" {
		t.Errorf("a proxy answers a plain client: %+v", e)
	}
	if e := b.put(dhcptest.SampleNamed(t, "ovmf-pxe-discover")); e.Reply != "OFFER" || e.Addr.IsValid() {
		t.Errorf("exchange %+v", e)
	}
	if s := b.got(); s.to != netip.AddrPortFrom(everywhere, dhcp.ClientPort) || s.port != dhcp.ServerPort {
		t.Errorf("proxy offer goes to %s from port %d", s.to, s.port)
	}
	if e := b.put(dhcptest.SampleNamed(t, "ovmf-pxe-4011")); e.Reply != "ACK" || e.File != "snponly.efi" {
		t.Errorf("exchange %+v", e)
	}
	if s := b.got(); s.to.String() != "10.77.0.54:4011" || s.port != dhcp.BootPort {
		t.Errorf("the answer to port 4011 goes to %s from port %d", s.to, s.port)
	}
}

func TestServerAsksBooterOnlyWhereItMatters(t *testing.T) {
	var asked atomic.Int32
	b := startBed(t, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}}, func(s *Server) {
		s.Booter = booterFunc(func(c dhcp.Client) dhcp.Boot { asked.Add(1); return dhcptest.Boot(c) })
	})
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.put(dhcptest.SampleNamed(t, "ovmf-pxe-request")) // to the other server
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times what nobody will be told", n)
	}
	b.put(dhcptest.SampleNamed(t, "ovmf-pxe-discover"))
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestServerAfterDeclineAndRelease(t *testing.T) {
	store := &dhcp.MemoryLeases{}
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = store })
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.put(dhcptest.SampleNamed(t, "udhcpc-request"))

	decline := dhcptest.SampleNamed(t, "udhcpc-request")
	decline.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeDecline))
	if e := b.put(decline); e.Reply != "" || !strings.Contains(e.Reason, "out of use") {
		t.Errorf("exchange %+v", e)
	}
	if leases := dhcptest.Stored(store); len(leases) != 1 || leases[0].MAC.String() != "00:00:00:00:00:00" || !leases[0].Expires.After(time.Now()) {
		t.Errorf("a declined address is not kept from all clients: %v", leases)
	}
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Addr.String() != "10.77.0.101" {
		t.Errorf("after a decline the client is offered %s", e.Addr)
	}

	request := dhcptest.SampleNamed(t, "udhcpc-request")
	request.Req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress([]byte{10, 77, 0, 101}))
	b.put(request)
	release := dhcptest.SampleNamed(t, "udhcpc-request")
	release.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRelease))
	release.Req.Packet.ClientIPAddr = []byte{10, 77, 0, 101}
	release.Req.Source = netip.MustParseAddrPort("10.77.0.66:68")
	if e := b.put(release); e.Reply != "" || !strings.Contains(e.Reason, "only a client at 10.77.0.101") {
		t.Errorf("a release that another host sends: %+v", e)
	}
	release.Req.Source = netip.MustParseAddrPort("10.77.0.101:68")
	if e := b.put(release); e.Reply != "" || !strings.Contains(e.Reason, "free again") {
		t.Errorf("exchange %+v", e)
	}
}

func TestServerHearsThatAnotherWasChosen(t *testing.T) {
	b := startBed(t, poolInterface(), nil)
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	other := dhcptest.SampleNamed(t, "udhcpc-request")
	other.Req.Packet.UpdateOption(dhcpv4.OptServerIdentifier([]byte{10, 77, 0, 2}))
	if e := b.put(other); e.Reply != "" || !strings.Contains(e.Reason, "10.77.0.2") {
		t.Errorf("exchange %+v", e)
	}
}

func TestServerAnswersRelays(t *testing.T) {
	relayed := []dhcp.Network{{
		Subnet: netip.MustParsePrefix("10.88.0.0/16"), Router: netip.MustParseAddr("10.88.0.1"),
		Pool: dhcp.Ranges{dhcp.Range{First: netip.MustParseAddr("10.88.0.50"), Last: netip.MustParseAddr("10.88.0.60")}},
	}}
	b := startBed(t, poolInterface(), func(s *Server) { s.Relayed = relayed })
	if e := b.put(dhcptest.SampleNamed(t, "relayed-discover")); e.Addr.String() != "10.88.0.50" {
		t.Fatalf("exchange %+v", e)
	}
	s := b.got()
	p := parseSent(t, s)
	if s.to.String() != "10.88.0.1:67" || p.SubnetMask().String() != "ffff0000" || p.Options[82] == nil {
		t.Errorf("to %s: %s", s.to, p.Summary())
	}
	stranger := dhcptest.SampleNamed(t, "relayed-discover")
	stranger.Req.Packet.GatewayIPAddr = []byte{10, 99, 0, 1}
	if e := b.put(stranger); e.Reply != "" || !strings.Contains(e.Reason, "10.99.0.1") {
		t.Errorf("exchange %+v", e)
	}
}

// TestServerOnTwoInterfaces: each has its own mode and network, and an answer
// leaves by the interface that its request came in on.
func TestServerOnTwoInterfaces(t *testing.T) {
	lab, office := newFakeSystem(), newFakeSystem()
	office.addrs = []netip.Prefix{netip.MustParsePrefix("10.99.0.1/16")}
	pool := poolInterface()
	pool.Name = "eth1"
	exchanges := make(chan dhcp.Exchange, 2)
	l, err := (&Server{
		Interfaces: []Interface{pool, {Name: "eth2", Network: dhcp.Network{Mode: dhcp.Proxy}}}, Booter: booterFunc(dhcptest.Boot),
		Observe: func(e dhcp.Exchange) { exchanges <- e }, system: fakeSystems{"eth1": lab, "eth2": office},
	}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx) }()
	request := dhcptest.SampleNamed(t, "bios-pxe-discover")
	for _, test := range []struct {
		system       *fakeSystem
		server, addr string
	}{{lab, "10.77.0.1", "10.77.0.100"}, {office, "10.99.0.1", ""}} {
		test.system.ports[dhcp.ServerPort].in <- ether.Datagram{Data: request.Raw, From: request.Req.Source}
		<-exchanges
		p := parseSent(t, <-test.system.out)
		if addr := dhcp.ToAddr(p.YourIPAddr); p.ServerIdentifier().String() != test.server || addr.IsValid() != (test.addr != "") || addr.IsValid() && addr.String() != test.addr {
			t.Errorf("want an answer of %s with the address %q: %s", test.server, test.addr, p.Summary())
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// brokenStore stores nothing while it is broken.
type brokenStore struct {
	dhcp.MemoryLeases
	broken atomic.Bool
	writes atomic.Int32
}

func (s *brokenStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	if s.broken.Load() {
		return nil, errors.New("disk full")
	}
	s.writes.Add(1)
	return s.MemoryLeases.Commit(ctx, now, changes)
}

func TestNoACKWithoutStoredLease(t *testing.T) {
	store := &brokenStore{}
	store.broken.Store(true)
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = store })
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.got()
	e := b.put(dhcptest.SampleNamed(t, "udhcpc-request"))
	if e.Reply != "" || !strings.Contains(e.Reason, "disk full") || len(b.out) != 0 {
		t.Errorf("a lease that is not stored is confirmed: %+v", e)
	}
}

// gatedStore writes when it is let.
type gatedStore struct {
	dhcp.MemoryLeases
	let chan struct{}
}

func (s *gatedStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	<-s.let
	return s.MemoryLeases.Commit(ctx, now, changes)
}

// TestYoungLeasesAreNotStoredAgain: firmware, boot loader and system of a machine ask for
// one lease within minutes, and only what changes it is written.
func TestYoungLeasesAreNotStoredAgain(t *testing.T) {
	store, clock := &brokenStore{}, dhcptest.NewClock()
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases, s.Now = store, clock.Now })
	term := dhcp.Network{}.Term()
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.got()
	request := func(name string) (e dhcp.Exchange, lasts time.Duration) {
		t.Helper()
		s := dhcptest.SampleNamed(t, "udhcpc-request")
		s.Req.Packet.UpdateOption(dhcpv4.OptHostName(name))
		if e = b.put(s); e.Reply != "ACK" {
			t.Fatalf("exchange %+v", e)
		}
		return e, parseSent(t, b.got()).IPAddressLeaseTime(0)
	}
	for _, step := range []struct {
		passed time.Duration
		name   string
		stored bool
		lasts  time.Duration
	}{
		{0, "box", true, term},
		{term / 4, "box", false, term - term/4},
		{0, "cube", true, term}, // the store has the name
		{term / 8, "cube", false, term - term/8},
		{term/8 + time.Second, "cube", true, term},
	} {
		clock.Forward(step.passed)
		before := store.writes.Load()
		if e, lasts := request(step.name); lasts != step.lasts || store.writes.Load() > before != step.stored {
			t.Errorf("%+v: the lease lasts %s, %d writes: %+v", step, lasts, store.writes.Load()-before, e)
		}
	}
	release := dhcptest.SampleNamed(t, "udhcpc-request")
	release.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRelease))
	release.Req.Packet.ClientIPAddr = net.IP{10, 77, 0, 100}
	release.Req.Source = netip.MustParseAddrPort("10.77.0.100:68")
	release.Req.Packet.Options.Del(dhcpv4.OptionServerIdentifier)
	b.put(release)
	before := store.writes.Load()
	if e, lasts := request("cube"); lasts != term || store.writes.Load() != before+1 {
		t.Errorf("after it was given back: the lease lasts %s, %d writes: %+v", lasts, store.writes.Load()-before, e)
	}
}

// TestRenewalsWhileTheStoreIsCrowded: when too many packets wait for the store, a client
// that has a lease keeps it for its term, without the store.
func TestRenewalsWhileTheStoreIsCrowded(t *testing.T) {
	store, clock := &gatedStore{let: make(chan struct{}, 1)}, dhcptest.NewClock()
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases, s.Now = store, clock.Now })
	t.Cleanup(func() { close(store.let) }) // before the server is stopped
	request := dhcptest.SampleNamed(t, "udhcpc-request")
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	store.let <- struct{}{}
	if e := b.put(request); e.Reply != "ACK" {
		t.Fatalf("exchange %+v", e)
	}
	clock.Forward(dhcp.Network{}.Term() / 2)
	for range maxStoring {
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: request.Req.Packet.ToBytes(), From: request.Req.Source}
	}
	if e := b.put(request); e.Reply != "ACK" || !strings.Contains(e.Reason, "rest of its term") {
		t.Errorf("while %d packets wait: %+v", maxStoring, e)
	}
}

// TestOffersDoNotWaitForTheStore: a rack's machines wait for their leases to be
// written, and one more is offered its address at once.
func TestOffersDoNotWaitForTheStore(t *testing.T) {
	store := &gatedStore{let: make(chan struct{})}
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = store })
	let := sync.OnceFunc(func() { close(store.let) })
	t.Cleanup(let) // before the server is stopped
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	request := dhcptest.SampleNamed(t, "udhcpc-request")
	const waiting = 3 * 256 // more than one write takes
	for range waiting {
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: request.Req.Packet.ToBytes(), From: request.Req.Source}
	}
	if e := b.put(dhcptest.SampleNamed(t, "bios-pxe-discover")); e.Reply != "OFFER" || e.Client.Kind != dhcp.PXE {
		t.Errorf("while the store writes: %+v", e)
	}
	let()
	for range waiting {
		if e := <-b.exchanges; e.Reply != "ACK" {
			t.Fatalf("a lease that was written late: %+v", e)
		}
	}
}

// TestAHardwareAddressOfZeros is nobody's: in the store it stands for no client.
func TestAHardwareAddressOfZeros(t *testing.T) {
	b := startBed(t, poolInterface(), nil)
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	s.Req.Packet.ClientHWAddr = make(net.HardwareAddr, 6)
	if e := b.put(s); e.Reply != "" || !strings.Contains(e.Reason, "zeros") {
		t.Errorf("exchange %+v", e)
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	b := startBed(t, poolInterface(), nil)
	for _, garbage := range [][]byte{nil, {1}, make([]byte, 240), make([]byte, serving.MaxPacket)} {
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: garbage}
	}
	if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Reply != "OFFER" {
		t.Errorf("after garbage: %+v", e)
	}
}

func TestServerSaysWhyItCannotBegin(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Server, *fakeSystem)
		want   string
	}{
		{"no interface", func(s *Server, _ *fakeSystem) { s.Interfaces = nil }, "no interface given"},
		{"no address", func(_ *Server, f *fakeSystem) { f.addrs = nil }, "ip addr add"},
		{"pool elsewhere", func(s *Server, _ *fakeSystem) {
			s.Interfaces[0].Network.Pool = dhcp.Ranges{{First: dhcptest.IP(1), Last: dhcptest.IP(2)}}
		}, "no IPv4 address that fits"},
		{"pool too long", func(s *Server, _ *fakeSystem) {
			s.Interfaces[0].Network.Pool[0].Last = netip.MustParseAddr("10.78.0.1")
		}, "not within the subnet"},
		{"IPv6 subnet", func(s *Server, _ *fakeSystem) {
			s.Relayed = []dhcp.Network{{Subnet: netip.MustParsePrefix("fe80::/64")}}
		}, "no IPv4 subnet"},
		{"port taken", func(_ *Server, f *fakeSystem) { f.fail = errors.New("port is taken") }, "port is taken"},
		{"unreadable leases", func(s *Server, _ *fakeSystem) { s.Leases = unreadableStore{} }, "read leases"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFakeSystem()
			i := poolInterface()
			i.Name = "eth9"
			s := &Server{Interfaces: []Interface{i}, system: f}
			test.change(s, f)
			_, err := s.Listen(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// unreadableStore cannot be read.
type unreadableStore struct{ dhcp.LeaseStore }

func (unreadableStore) Follow(context.Context, func([]dhcp.Lease, bool)) (func(), error) {
	return nil, errors.New("read leases: truncated")
}

// TestPanicCostsOnePacket: it is one line in the log, with the stack and the
// packet, and other clients are answered as before.
func TestPanicCostsOnePacket(t *testing.T) {
	log := &dhcptest.Log{}
	b := startBed(t, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}}, func(s *Server) {
		s.Log = log.Logger()
		s.Booter = booterFunc(func(c dhcp.Client) dhcp.Boot {
			if c.Firmware == dhcp.BIOS {
				panic("a fault of the booter")
			}
			return dhcptest.Boot(c)
		})
	})
	bad := dhcptest.SampleNamed(t, "bios-pxe-discover")
	for range 2 * workers() { // more than there are workers to lose
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: bad.Raw, From: bad.Req.Source}
	}
	if e := b.put(dhcptest.SampleNamed(t, "ovmf-pxe-discover")); e.Reply != "OFFER" {
		t.Errorf("after panics: %+v", e)
	}
	b.end()
	lines := log.Lines("level=ERROR")
	if len(lines) != 1 || !strings.Contains(lines[0], "a fault of the booter") || !strings.Contains(lines[0], "server_test.go") || !strings.Contains(lines[0], "packet=01010600") {
		t.Errorf("log: %q", lines)
	}
}

// TestReadErrorsAreForgiven, as long as reads succeed in between.
func TestReadErrorsAreForgiven(t *testing.T) {
	log := &dhcptest.Log{}
	b := startBed(t, poolInterface(), func(s *Server) { s.Log = log.Logger() })
	for range 3 {
		for range serving.MaxReadErrors - 1 {
			b.ports[dhcp.ServerPort].fail <- syscall.ENOBUFS
		}
		if e := b.put(dhcptest.SampleNamed(t, "udhcpc-discover")); e.Reply != "OFFER" {
			t.Errorf("after read errors: %+v", e)
		}
	}
	b.end()
	if lines := log.Lines("level=WARN"); len(lines) != 1 || !strings.Contains(lines[0], "no buffer space") {
		t.Errorf("log: %q", lines)
	}
	failed := slices.DeleteFunc(b.paused, func(d time.Duration) bool { return d == readGap })
	if n := len(failed); n != 3*(serving.MaxReadErrors-1) || failed[0] != serving.ReadPause {
		t.Errorf("%d pauses: %v", n, failed)
	}
}

// TestBrokenSocketEndsTheServer: the error says which socket it was.
func TestBrokenSocketEndsTheServer(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		n    int
	}{
		{"many failures in a row", syscall.EIO, serving.MaxReadErrors},
		{"closed", net.ErrClosed, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBed(t, poolInterface(), nil)
			for range test.n {
				b.ports[dhcp.BootPort].fail <- test.err
			}
			err := <-b.done
			b.done = nil
			if !errors.Is(err, test.err) || !strings.Contains(err.Error(), "UDP port 4011 of eth9") {
				t.Errorf("server ended with %v", err)
			}
		})
	}
}

// TestServerFinishesItsPackets: a lease that is being stored when the server
// is stopped is still confirmed to its client.
func TestServerFinishesItsPackets(t *testing.T) {
	store := &dhcptest.SlowStore{Began: make(chan struct{}), GoOn: make(chan struct{})}
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = store })
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.got()
	request := dhcptest.SampleNamed(t, "udhcpc-request")
	b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: request.Raw, From: request.Req.Source}
	<-store.Began
	b.stop()
	<-b.ports[dhcp.ServerPort].woken
	close(store.GoOn)
	b.end()
	if e := <-b.exchanges; e.Reply != "ACK" {
		t.Errorf("exchange %+v", e)
	}
	if p := parseSent(t, b.got()); p.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("the client got %s", p.Summary())
	}
}

// TestListenClosesWhatItOpened, if it fails half-way.
func TestListenClosesWhatItOpened(t *testing.T) {
	f := newFakeSystem()
	f.addrs = append(f.addrs, netip.MustParsePrefix("10.0.0.1/24"))
	i := poolInterface()
	i.Name = "eth9"
	broken := Interface{Name: "eth8", Network: dhcp.Network{Pool: dhcp.Ranges{{First: netip.MustParseAddr("10.77.0.9"), Last: netip.MustParseAddr("10.78.0.1")}}}}
	s := &Server{Interfaces: []Interface{i, broken}, system: f}
	if _, err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "listen for DHCP on eth8: ") {
		t.Errorf("error %v", err)
	}
	for port, conn := range f.ports {
		select {
		case <-conn.closed:
		default:
			t.Errorf("the socket of port %d is still open", port)
		}
	}
}

// gatekeeper is a Booter that lets strangers wait, and knows one client.
type gatekeeper struct {
	known dhcp.Station
	gate  chan struct{}
}

func (g gatekeeper) Known(mac net.HardwareAddr) bool { return dhcp.Station(mac) == g.known }

func (g gatekeeper) Boot(_ context.Context, c dhcp.Client) dhcp.Boot {
	if !g.Known(c.MAC) {
		<-g.gate
	}
	return dhcp.Boot{Reason: "test"}
}

// TestKnownClientsComeFirst: a flood of strangers has all workers busy, and many
// more of them wait. The first worker that is free answers a machine of the site.
func TestKnownClientsComeFirst(t *testing.T) {
	g := gatekeeper{known: dhcptest.MAC(7), gate: make(chan struct{})}
	b := startBed(t, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}}, func(s *Server) { s.Booter = g })
	open := sync.OnceFunc(func() { close(g.gate) })
	t.Cleanup(open) // before the server is stopped, which waits for its workers
	discover := func(from dhcp.Station) {
		s := dhcptest.SampleNamed(t, "bios-pxe-discover")
		s.Req.Packet.ClientHWAddr = from[:]
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: s.Req.Packet.ToBytes(), From: s.Req.Source}
	}
	for i := range workers() + serving.MaxWaiting/2 {
		discover(dhcp.Station{2, 0, 0, 0, byte(i >> 8), byte(i)})
	}
	discover(g.known)
	discover(dhcp.Station{2, 0, 0, 1}) // once this is read, the one before it waits in its queue
	for i := range 2 {                 // a stranger, and then the machine
		if i == 0 {
			g.gate <- struct{}{}
		}
		select {
		case e := <-b.exchanges:
			if known := g.Known(e.Client.MAC); known != (i == 1) {
				t.Errorf("exchange %d is with %s", i, e.Client.MAC)
			}
		case <-time.After(dhcptest.Patience):
			t.Fatal("no worker answers")
		}
	}
	open()
}
