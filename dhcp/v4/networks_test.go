package v4

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/ifwatch"
)

// networkOf is a network whose pool are the addresses .100 to .109.
func networkOf(subnet string) dhcp.Network {
	p := netip.MustParsePrefix(subnet)
	b := p.Addr().As4()
	first, last := b, b
	first[3], last[3] = 100, 109
	return dhcp.Network{Subnet: p, Pool: dhcp.Ranges{{First: netip.AddrFrom4(first), Last: netip.AddrFrom4(last)}}}
}

// TestChoiceOfNetwork: sub-option 5 of option 82 comes first, then option 118,
// then giaddr, and else the interface decides.
func TestChoiceOfNetwork(t *testing.T) {
	local, other, relayed := &lan{Network: networkOf("10.77.0.0/24")}, &lan{Network: networkOf("10.78.0.0/24")}, &lan{Network: networkOf("10.88.0.0/16")}
	v := &view{lans: []*lan{local, other, relayed}}
	type change = func(*dhcp.Request)
	giaddr := func(a ...byte) change { return func(r *dhcp.Request) { r.Packet.GatewayIPAddr = a } }
	has := func(a ...byte) change { return func(r *dhcp.Request) { r.Packet.ClientIPAddr = a } }
	alone := func(r *dhcp.Request) { r.Unicast = true }
	option := func(code uint8, value ...byte) change {
		return func(r *dhcp.Request) {
			r.Packet.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value))
		}
	}
	link := func(a ...byte) change { return option(82, append([]byte{1, 2, 'e', '1', 5, 4}, a...)...) }
	for name, test := range map[string]struct {
		changes []change
		want    *lan
		reason  string
	}{
		"neither":                    {nil, local, ""},
		"relayed":                    {[]change{giaddr(10, 88, 0, 1)}, relayed, ""},
		"relayed on another LAN":     {[]change{giaddr(10, 78, 0, 2)}, other, ""},
		"unknown relay":              {[]change{giaddr(10, 99, 0, 1)}, nil, "relayed by 10.99.0.1, and no such network"},
		"option 118":                 {[]change{option(118, 10, 88, 0, 0)}, relayed, ""},
		"118 before giaddr":          {[]change{giaddr(10, 78, 0, 2), option(118, 10, 88, 0, 0)}, relayed, ""},
		"118 of no network":          {[]change{option(118, 10, 99, 0, 0)}, nil, "10.99.0.0 (option 118)"},
		"118 too short":              {[]change{option(118, 10, 88)}, local, ""},
		"link before giaddr":         {[]change{giaddr(10, 99, 0, 1), link(10, 78, 0, 1)}, other, ""},
		"link before 118":            {[]change{giaddr(10, 99, 0, 1), option(118, 10, 88, 0, 0), link(10, 78, 0, 1)}, other, ""},
		"link of no network":         {[]change{giaddr(10, 88, 0, 1), link(10, 99, 0, 1)}, nil, "network of 10.99.0.1 (option 82.5)"},
		"link without a relay":       {[]change{link(10, 88, 0, 1)}, local, ""},
		"link cut off":               {[]change{giaddr(10, 88, 0, 1), option(82, 5, 4, 10)}, relayed, ""},
		"renewal through a router":   {[]change{has(10, 88, 0, 50), alone}, relayed, ""},
		"rebinding in a new network": {[]change{has(10, 88, 0, 50)}, local, ""},
		"renewal of an unknown one":  {[]change{has(10, 99, 0, 50), alone}, local, ""},
	} {
		req := dhcp.Request{Packet: &dhcpv4.DHCPv4{Options: dhcpv4.Options{}}, Port: dhcp.ServerPort}
		for _, change := range test.changes {
			change(&req)
		}
		got, reason := v.choose(req, local)
		if got != test.want || !strings.Contains(reason, test.reason) || (reason == "") != (test.reason == "") {
			t.Errorf("%s: network %+v, %q", name, got, reason)
		}
	}
}

// listen runs a server until the test ends.
func listen(t *testing.T, s *Server) *Listener {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l, err := s.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("server ended with %v", err)
		}
	})
	return l
}

// TestRelayedByAnyInterface: a network has one table. A client whose packets come in
// on two interfaces has one address, and is answered by the server that it chose.
func TestRelayedByAnyInterface(t *testing.T) {
	one, two := newFakeSystem(), newFakeSystem()
	two.addrs = []netip.Prefix{netip.MustParsePrefix("10.78.0.1/24")}
	far := networkOf("10.88.0.0/16")
	exchanges := make(chan dhcp.Exchange, 8)
	l := listen(t, &Server{
		Interfaces: []Interface{{Name: "eth1", Network: dhcp.Network{Mode: dhcp.Off}}, {Name: "eth2", Network: networkOf("10.78.0.0/24")}},
		Relayed:    []dhcp.Network{far}, Booter: booterFunc(dhcptest.Boot), Observe: func(e dhcp.Exchange) { exchanges <- e },
		system: fakeSystems{"eth1": one, "eth2": two},
	})
	put := func(f *fakeSystem, s dhcptest.Sample) *dhcpv4.DHCPv4 {
		f.ports[dhcp.ServerPort].in <- ether.Datagram{Data: s.Req.Packet.ToBytes(), From: s.Req.Source, Unicast: s.Req.Unicast}
		if e := <-exchanges; e.Reply == "" {
			t.Fatalf("no answer: %+v", e)
		}
		return parseSent(t, <-f.out)
	}
	discover := dhcptest.SampleNamed(t, "relayed-discover")
	offers := []*dhcpv4.DHCPv4{put(one, discover), put(two, discover)}
	if !offers[0].YourIPAddr.Equal(offers[1].YourIPAddr) {
		t.Errorf("two offers: %s and %s", offers[0].YourIPAddr, offers[1].YourIPAddr)
	}
	if a, b := offers[0].ServerIdentifier().String(), offers[1].ServerIdentifier().String(); a != "10.77.0.1" || b != "10.78.0.1" {
		t.Errorf("the servers of the offers are %s and %s", a, b)
	}
	request := discover
	request.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	request.Req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress(offers[0].YourIPAddr))
	request.Req.Packet.UpdateOption(dhcpv4.OptServerIdentifier(offers[0].ServerIdentifier()))
	for _, f := range []*fakeSystem{one, two} {
		if ack := put(f, request); ack.MessageType() != dhcpv4.MessageTypeAck || ack.ServerIdentifier().String() != "10.77.0.1" {
			t.Errorf("the answer is %s", ack.Summary())
		}
	}
	for _, n := range l.Networks() {
		if n.Interface == "" && (n.Used != 1 || n.Pool.Size() != 10) {
			t.Errorf("network %+v", n)
		}
	}
}

// TestOptionsOfRelaysComeBack, as RFC 3046 and RFC 3011 have it.
func TestOptionsOfRelaysComeBack(t *testing.T) {
	b := startBed(t, poolInterface(), func(s *Server) { s.Relayed = []dhcp.Network{networkOf("10.88.0.0/16")} })
	s := dhcptest.SampleNamed(t, "relayed-discover")
	subnet := []byte{10, 88, 0, 0}
	s.Req.Packet.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionSubnetSelection, subnet))
	agent := []byte{1, 1, 'x', 5, 4, 10, 88, 0, 1}
	s.Req.Packet.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRelayAgentInformation, agent))
	s.Req.Packet.GatewayIPAddr = []byte{10, 66, 0, 1}
	b.put(s)
	got := b.got()
	p := parseSent(t, got)
	if got.to.String() != "10.66.0.1:67" || p.YourIPAddr.String() != "10.88.0.100" || string(p.Options[82]) != string(agent) || string(p.Options[118]) != string(subnet) {
		t.Errorf("to %s: %s", got.to, p.Summary())
	}
}

// TestFurtherOptions go to clients that ask for them, and to those that ask for
// nothing in particular.
func TestFurtherOptions(t *testing.T) {
	i := poolInterface()
	i.Network.NTP = []netip.Addr{netip.MustParseAddr("10.77.0.123")}
	i.Network.Options = []dhcp.Option{{Code: 150, Value: []byte{10, 77, 0, 9}}, {Code: 26, Value: []byte{5, 220}}}
	b := startBed(t, i, nil)
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	for asked, want := range map[string]string{"": "[10 77 0 9] [5 220]", "\x01\x1a": "[] [5 220]"} {
		s.Req.Packet.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, []byte(asked)))
		b.put(s)
		p := parseSent(t, b.got())
		got := strings.Join([]string{fmt.Sprint(p.Options[150]), fmt.Sprint(p.Options[26])}, " ")
		if got != want || fmt.Sprint(p.Options[42]) != "[10 77 0 123]" {
			t.Errorf("asked for %q: %s, NTP %v", asked, got, p.Options[42])
		}
	}
}

// TestAbsentInterfaceIsWaitedFor, while another one is served.
func TestAbsentInterfaceIsWaitedFor(t *testing.T) {
	there, late := newFakeSystem(), newFakeSystem()
	late.addrs = nil
	exchanges := make(chan dhcp.Exchange, 8)
	var changes ifwatch.Signal
	listen(t, &Server{
		Interfaces: []Interface{{Name: "eth1", Network: networkOf("10.77.0.0/24")}, {Name: "eth2", Network: networkOf("10.78.0.0/24")}},
		Booter:     booterFunc(dhcptest.Boot), Observe: func(e dhcp.Exchange) { exchanges <- e }, Watch: changes.Subscribe,
		system: fakeSystems{"eth1": there, "eth2": late},
	})
	request := dhcptest.SampleNamed(t, "bios-pxe-discover")
	ask := func(f *fakeSystem, want string) {
		t.Helper()
		f.ports[dhcp.ServerPort].in <- ether.Datagram{Data: request.Raw, From: request.Req.Source}
		if e := <-exchanges; e.Addr.String() != want {
			t.Errorf("exchange %+v, want %s", e, want)
		}
	}
	ask(there, "10.77.0.100")
	late.setAddrs(netip.MustParsePrefix("10.78.0.1/24"))
	changes.Send()
	ask(late, "10.78.0.100")
}

// TestTwoNetworksAndARelay: real clients on an interface, on a bridge, and behind
// dnsmasq as a relay agent.
func TestTwoNetworksAndARelay(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Server, "link", "add", "br20", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	dhcptest.Run(t, "ip", "-n", w.Server, "link", "add", "port", "type", "veth", "peer", "name", "eth0.20", "netns", w.Client)
	dhcptest.Run(t, "ip", "-n", w.Server, "link", "set", "port", "master", "br20", "up")
	dhcptest.Run(t, "ip", "-n", w.Server, "addr", "add", "10.98.0.1/24", "dev", "br20")
	dhcptest.Run(t, "ip", "-n", w.Server, "link", "set", "br20", "up")
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", "eth0.20", "up")
	far := newRelay(t, w)
	seen := serveAll(t, w.Server, &Server{
		Interfaces: []Interface{
			{Name: "eth0", Network: networkOf("10.99.0.0/24")},
			{Name: "br20", Network: networkOf("10.98.0.0/24")},
			{Name: "uplink", Network: dhcp.Network{Mode: dhcp.Off}},
		},
		Relayed: []dhcp.Network{networkOf("10.88.0.0/24")},
	}, t.Output())
	for _, client := range []struct{ ns, iface, want string }{
		{w.Client, "eth0", "lease of 10.99.0.100 obtained from 10.99.0.1,"},
		{w.Client, "eth0.20", "lease of 10.98.0.100 obtained from 10.98.0.1,"},
		{far, "eth0", "lease of 10.88.0.100 obtained from 10.97.0.1,"},
	} {
		out := dhcptest.In(t, client.ns, "udhcpc", "-i", client.iface, "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
		if !strings.Contains(out, client.want) {
			t.Errorf("udhcpc on %s says:\n%s", client.iface, out)
		}
	}
	for _, e := range soFar(seen) {
		if e.Reply == "" {
			t.Errorf("not answered: %+v", e)
		}
	}
}

// newRelay makes a relay agent on the other side of a router, and a network behind
// it. It returns the namespace of a client there, whose interface is eth0.
func newRelay(t *testing.T, w dhcptest.Wire) string {
	t.Helper()
	relay, far := w.Server+"r", w.Server+"f"
	for _, ns := range []string{relay, far} {
		dhcptest.Run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { dhcptest.Run(t, "ip", "netns", "del", ns) })
		dhcptest.Run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	dhcptest.Run(t, "ip", "-n", w.Server, "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", relay)
	dhcptest.Run(t, "ip", "-n", relay, "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", far)
	for _, a := range [][3]string{{w.Server, "uplink", "10.97.0.1/30"}, {relay, "uplink", "10.97.0.2/30"}, {relay, "lan", "10.88.0.1/24"}} {
		dhcptest.Run(t, "ip", "-n", a[0], "addr", "add", a[2], "dev", a[1])
		dhcptest.Run(t, "ip", "-n", a[0], "link", "set", a[1], "up")
	}
	dhcptest.Run(t, "ip", "-n", far, "link", "set", "eth0", "up")
	dhcptest.Run(t, "ip", "-n", w.Server, "route", "add", "10.88.0.0/24", "via", "10.97.0.2")
	log := filepath.Join(t.TempDir(), "relay")
	runDnsmasq(t, relay, log, "--interface=lan", "--interface=uplink", "--dhcp-relay=10.88.0.1,10.97.0.1")
	waitForText(t, log, "DHCP relay from 10.88.0.1 to 10.97.0.1")
	return far
}

// TestInterfaceMadeAnew: the interface is deleted and made anew with the same
// address. A client then gets an address.
func TestInterfaceMadeAnew(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	serve(t, w.Server, foreignPool(199))
	for range 2 {
		out := dhcptest.In(t, w.Client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-T", "1", "-s", "/bin/true")
		if !strings.Contains(out, "lease of 10.99.0.10") {
			t.Errorf("udhcpc says:\n%s", out)
		}
		dhcptest.Run(t, "ip", "-n", w.Server, "link", "del", "eth0")
		w.Connect(t)
	}
}
