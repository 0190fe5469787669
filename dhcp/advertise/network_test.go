package advertise

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"

	"cloudlets/dhcp"
)

var (
	start    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	machineA = netip.MustParseAddr("fe80::5054:ff:fe00:a")
	machineB = netip.MustParseAddr("fe80::5054:ff:fe00:b")
	router   = netip.MustParseAddr("fe80::1")
)

func TestAnswersOnlyAfterDHCP(t *testing.T) {
	n := newNetwork()
	n.admit(machineA, start)
	if !n.solicited(machineA, start.Add(admittedFor-time.Second)) {
		t.Error("an iPXE is not answered after its DHCP")
	}
	if n.solicited(machineB, start) {
		t.Error("a machine is answered whose DHCP nobody saw")
	}
	if n.solicited(machineA, start.Add(2*admittedFor)) {
		t.Error("a machine is answered long after its DHCP")
	}
}

// TestSolicitationWaits: an iPXE asks for a router before its DHCP ends. It is
// answered as soon as that ended, and not if it gave up meanwhile.
func TestSolicitationWaits(t *testing.T) {
	n := newNetwork()
	if n.solicited(machineA, start) {
		t.Fatal("answered before its DHCP")
	}
	if !n.admit(machineA, start.Add(waitsFor-time.Second)) {
		t.Error("the solicitation that waited is not answered")
	}
	if n.admit(machineA, start.Add(waitsFor-time.Second)) {
		t.Error("one solicitation is answered twice")
	}
	n.solicited(machineB, start.Add(waitsFor))
	if n.admit(machineB, start.Add(3*waitsFor)) {
		t.Error("a solicitation is answered that is long over")
	}
}

// TestOperatingSystem: when the machine's operating system has its address, the
// machine is answered no more.
func TestOperatingSystem(t *testing.T) {
	s := New("eth0", slog.New(slog.DiscardHandler))
	s.SawExchange(acknowledged(macA))
	s.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: macB}, Reply: "ACK"})
	s.received(message(t, solicitation(macA)), ndp.HopLimit, machineA)
	s.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: macA}})
	s.received(message(t, solicitation(macA)), ndp.HopLimit, machineA)
	if len(s.answers) != 1 {
		t.Errorf("%d answers, want that before the operating system's DHCP", len(s.answers))
	}
}

func TestEachMachineGetsFewAnswers(t *testing.T) {
	n := newNetwork()
	n.admit(machineA, start)
	answers := 0
	for range 1000 {
		if n.solicited(machineA, start) {
			answers++
		}
	}
	if answers != answersEach {
		t.Errorf("1000 solicitations after one DHCP exchange got %d answers, want %d", answers, answersEach)
	}
}

func TestSilentWhereARouterIs(t *testing.T) {
	prefix := &ndp.PrefixInformation{PrefixLength: 64, ValidLifetime: time.Hour, Prefix: netip.MustParseAddr("fd00::")}
	for name, c := range map[string]struct {
		ra     ndp.RouterAdvertisement
		silent time.Duration
	}{
		"default router": {ndp.RouterAdvertisement{RouterLifetime: 9 * time.Second}, 9 * time.Second},
		"managed":        {ndp.RouterAdvertisement{ManagedConfiguration: true}, betweenAdvertisements},
		"other":          {ndp.RouterAdvertisement{OtherConfiguration: true}, betweenAdvertisements},
		"prefix alone":   {ndp.RouterAdvertisement{Options: []ndp.Option{prefix}}, betweenAdvertisements},
		"nothing":        {ndp.RouterAdvertisement{}, 0},
	} {
		n := newNetwork()
		n.advertised(router, &c.ra, start)
		n.admit(machineA, start)
		if c.silent > 0 && n.solicited(machineA, start.Add(c.silent-time.Second)) {
			t.Errorf("%s: answered although a router was heard", name)
		}
		n.admit(machineA, start.Add(c.silent))
		if !n.solicited(machineA, start.Add(c.silent)) {
			t.Errorf("%s: not answered although the router is gone", name)
		}
	}
}

func TestRouterThatLeaves(t *testing.T) {
	n := newNetwork()
	n.advertised(router, &ndp.RouterAdvertisement{RouterLifetime: time.Hour}, start)
	n.solicited(machineA, start)
	if n.admit(machineA, start) || n.solicited(machineA, start) {
		t.Error("answered although a router was heard")
	}
	n.advertised(router, &ndp.RouterAdvertisement{}, start)
	if !n.solicited(machineA, start) {
		t.Error("not answered although the router said that it leaves")
	}
}

// TestBounds: floods of machines and of routers do not fill the memory, and an
// iPXE is answered after the flood.
func TestBounds(t *testing.T) {
	n := newNetwork()
	for i := range uint32(3 * maxMachines) {
		now := start.Add(time.Duration(i) * time.Millisecond)
		n.solicited(flooding(i), now)
		n.admit(flooding(i+1<<20), now)
	}
	for name, r := range map[string]allowance{"admitted": n.admitted, "waiting": n.waiting} {
		if held := len(r.young) + len(r.old); held == 0 || held > 2*maxMachines {
			t.Errorf("%s: %d machines are remembered, want at most %d", name, held, 2*maxMachines)
		}
	}
	later := start.Add(time.Hour)
	n.admit(machineA, later)
	if !n.solicited(machineA, later) {
		t.Error("after a flood an iPXE is not answered")
	}
	for i := range uint32(1000) {
		n.advertised(flooding(i), &ndp.RouterAdvertisement{RouterLifetime: time.Minute}, later)
	}
	if len(n.routers) != maxRouters {
		t.Errorf("%d routers are remembered, want %d", len(n.routers), maxRouters)
	}
}

func flooding(i uint32) netip.Addr {
	a := machineA.As16()
	binary.BigEndian.PutUint32(a[8:], i)
	return netip.AddrFrom16(a)
}

func TestAnswersPerSecond(t *testing.T) {
	var p perSecond
	passed := 0
	for range 10 * maxPerSecond {
		if p.pass(start) {
			passed++
		}
	}
	if passed != maxPerSecond || !p.pass(start.Add(time.Second)) {
		t.Errorf("%d answers passed in a second, want %d", passed, maxPerSecond)
	}
}

func TestLinkLocal(t *testing.T) {
	for text, want := range map[string]string{
		"52:54:00:00:00:0a":             "fe80::5054:ff:fe00:a", // as QEMU's iPXE asks from
		"00:1b:21:aa:bb:cc":             "fe80::21b:21ff:feaa:bbcc",
		"00:00:00:00:00:00:00:01":       "",
		"00:00:00:00:fe:80:00:00:00:00": "",
	} {
		mac, err := net.ParseMAC(strings.TrimSpace(text))
		if err != nil {
			mac = make(net.HardwareAddr, 10)
		}
		addr, ok := linkLocal(mac)
		if ok != (want != "") || ok && addr.String() != want {
			t.Errorf("%s: %s, %t, want %q", text, addr, ok, want)
		}
	}
}

// TestWhichExchangesCount: an acknowledgement for an iPXE counts, and the offer of
// a proxy, after which no acknowledgement comes.
func TestWhichExchangesCount(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.100")
	for _, c := range []struct {
		kind  dhcp.Kind
		reply string
		addr  netip.Addr
		want  int
	}{
		{dhcp.OwnIPXE, "ACK", addr, 1},
		{dhcp.IPXE, "ACK", addr, 1},
		{dhcp.IPXE, "ACK", netip.Addr{}, 1},
		{dhcp.OwnIPXE, "OFFER", netip.Addr{}, 1},
		{dhcp.OwnIPXE, "OFFER", addr, 0},
		{dhcp.OwnIPXE, "NAK", netip.Addr{}, 0},
		{dhcp.OwnIPXE, "", netip.Addr{}, 0},
		{dhcp.PXE, "ACK", addr, 0},
		{dhcp.HTTPBoot, "ACK", addr, 0},
		{dhcp.Plain, "ACK", addr, 0},
	} {
		s := New("eth0", slog.New(slog.DiscardHandler))
		s.received(message(t, solicitation(nil)), ndp.HopLimit, machineA)
		s.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: macA, Kind: c.kind}, Reply: c.reply, Addr: c.addr})
		if len(s.answers) != c.want {
			t.Errorf("%s to %s, address %s: %d answers, want %d", c.reply, c.kind, c.addr, len(s.answers), c.want)
		}
	}
}

var (
	macA = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xa}
	macB = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xb}
)

// solicitation is a router solicitation that names a MAC, or none.
func solicitation(mac net.HardwareAddr) *ndp.RouterSolicitation {
	if mac == nil {
		return &ndp.RouterSolicitation{}
	}
	return &ndp.RouterSolicitation{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}}}
}

func message(t *testing.T, m ndp.Message) []byte {
	t.Helper()
	data, err := ndp.MarshalMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestWhatIsIgnored: what came through a router, comes from no link-local address,
// or names another machine's MAC is no solicitation of an iPXE, and is no router.
func TestWhatIsIgnored(t *testing.T) {
	asks := message(t, solicitation(macA))
	other := append([]byte{}, asks...)
	other[1] = 1
	for name, c := range map[string]struct {
		data []byte
		hops int
		from string
		want int
	}{
		"a solicitation":        {asks, 255, "fe80::5054:ff:fe00:a", 1},
		"without a MAC":         {message(t, solicitation(nil)), 255, "fe80::5054:ff:fe00:a", 1},
		"of another MAC":        {message(t, solicitation(macB)), 255, "fe80::5054:ff:fe00:a", 0},
		"from another address":  {asks, 255, "fe80::1234", 0},
		"forwarded":             {asks, 254, "fe80::5054:ff:fe00:a", 0},
		"from a global address": {asks, 255, "2001:db8::5054:ff:fe00:a", 0},
		"from no address":       {asks, 255, "::", 0},
		"another code":          {other, 255, "fe80::5054:ff:fe00:a", 0},
		"too short":             {asks[:5], 255, "fe80::5054:ff:fe00:a", 0},
		"an empty option":       {append(append([]byte{}, asks[:8]...), 1, 0, 0, 0, 0, 0, 0, 0), 255, "fe80::5054:ff:fe00:a", 0},
		"a neighbor":            {message(t, &ndp.NeighborSolicitation{TargetAddress: router}), 255, "fe80::5054:ff:fe00:a", 0},
		"nothing":               {nil, 255, "fe80::5054:ff:fe00:a", 0},
	} {
		s := New("eth0", slog.New(slog.DiscardHandler))
		s.SawExchange(acknowledged(macA))
		s.received(c.data, c.hops, netip.MustParseAddr(c.from))
		if len(s.answers) != c.want {
			t.Errorf("%s: %d answers, want %d", name, len(s.answers), c.want)
		}
	}
	s := New("eth0", slog.New(slog.DiscardHandler))
	s.received(message(t, &ndp.RouterAdvertisement{RouterLifetime: time.Hour}), 64, router)
	s.SawExchange(acknowledged(macA))
	s.received(asks, 255, machineA)
	if len(s.answers) != 1 {
		t.Error("an advertisement that came through a router keeps the server silent")
	}
}

// acknowledged is the end of an iPXE's DHCP.
func acknowledged(mac net.HardwareAddr) dhcp.Exchange {
	return dhcp.Exchange{Client: dhcp.Client{MAC: mac, Kind: dhcp.OwnIPXE}, Request: "REQUEST", Reply: "ACK", Addr: netip.MustParseAddr("10.77.0.100")}
}

// TestFullQueue: more answers than can wait are dropped, and nobody blocks.
func TestFullQueue(t *testing.T) {
	s := New("eth0", slog.New(slog.DiscardHandler))
	for i := range 2 * maxQueued {
		mac := net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}
		addr, _ := linkLocal(mac)
		s.received(message(t, solicitation(mac)), ndp.HopLimit, addr)
		s.SawExchange(acknowledged(mac))
	}
	if len(s.answers) != maxQueued {
		t.Errorf("%d answers wait, want %d", len(s.answers), maxQueued)
	}
}

func FuzzReceived(f *testing.F) {
	for _, m := range []ndp.Message{solicitation(nil), solicitation(macA), &ndp.RouterAdvertisement{RouterLifetime: time.Hour}} {
		data, err := ndp.MarshalMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var log bytes.Buffer
		s := New("eth0", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		s.SawExchange(acknowledged(macA))
		s.received(data, ndp.HopLimit, machineA)
		if len(s.answers) > 1 {
			t.Error("one message got several answers")
		}
		if strings.Contains(log.String(), "panic=") {
			t.Error(log.String())
		}
	})
}
