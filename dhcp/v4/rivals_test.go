package v4

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
)

// TestAnotherServerIsNamed: when serving starts, the log names a real DHCP server that
// is on the network already.
func TestAnotherServerIsNamed(t *testing.T) {
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.99.0.7/24", "dev", "eth0")
	startDnsmasq(t, w.Client)
	lines := make(lineLog, 1<<10)
	serveLogged(t, w.Server, foreignPool(199), lines)
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, "another DHCP server") {
				if !strings.Contains(line, "server=10.99.0.7") || !strings.Contains(line, "--dhcp proxy") {
					t.Errorf("the log says %s", line)
				}
				return
			}
		case <-time.After(dhcptest.Patience):
			t.Fatal("the log does not name the other server")
		}
	}
}

// TestRivals are told of by what they do, and this server itself is none.
func TestRivals(t *testing.T) {
	lines := make(lineLog, 2)
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Log = lines.logger()
		s.system.(*fakeSystem).rivals = []ether.Found{
			{Server: netip.MustParseAddr("10.77.0.1"), Offered: netip.MustParseAddr("10.77.0.100")}, // itself
			{Server: netip.MustParseAddr("10.77.0.2"), Offered: netip.MustParseAddr("10.77.0.9")},
			{Server: netip.MustParseAddr("10.77.0.3"), File: "pxelinux.0"},
		}
	})
	for _, want := range []string{"server=10.77.0.2", "server=10.77.0.3 file=pxelinux.0"} {
		select {
		case line := <-lines:
			if !strings.Contains(line, want) {
				t.Errorf("the log says %s, want %s", line, want)
			}
		case <-time.After(dhcptest.Patience):
			t.Fatalf("the log never says %s", want)
		}
	}
	var seen []string
	for _, r := range b.listener.Networks()[0].Rivals {
		seen = append(seen, r.Server.String()+" "+r.Interface+" "+r.File)
		if r.Since.IsZero() || !r.Last.Equal(r.Since) || !r.Answers {
			t.Errorf("it was seen from %s to %s", r.Since, r.Last)
		}
	}
	if got := strings.Join(seen, ","); got != "10.77.0.3 eth9 pxelinux.0,10.77.0.2 eth9 " {
		t.Errorf("the network's status has %s", got)
	}
}

// TestRivalsAreRemembered for a day, with the time when each was seen first, and not
// without bound.
func TestRivalsAreRemembered(t *testing.T) {
	var r rivals
	start := time.Unix(1e9, 0)
	other := func(n byte) ether.Found { return ether.Found{Server: netip.AddrFrom4([4]byte{10, 0, 0, n})} }
	r.note([]ether.Found{other(1), other(2)}, "eth1", start)
	r.note([]ether.Found{other(1)}, "eth1", start.Add(time.Hour))
	if all := r.list(start.Add(2 * time.Hour)); len(all) != 2 || all[0].Server != other(1).Server || !all[0].Since.Equal(start) || !all[0].Last.Equal(start.Add(time.Hour)) || !all[0].Answers || all[1].Answers {
		t.Errorf("after an hour: %+v", all)
	}
	if all := r.list(start.Add(rivalSpan + time.Minute)); len(all) != 1 || all[0].Server != other(1).Server {
		t.Errorf("after a day: %+v", all)
	}
	for n := range byte(3 * maxRivals) {
		r.note([]ether.Found{other(n)}, "eth1", start)
	}
	if all := r.list(start); len(all) != maxRivals || all[0].Server != other(3*maxRivals-1).Server {
		t.Errorf("%d are remembered, the last of them %s", len(all), all[0].Server)
	}
}

// TestFellowsAreNoRivals: a server does not answer the probe of one that it shares the
// leases with, and answers that of another.
func TestFellowsAreNoRivals(t *testing.T) {
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Members = func() (string, []string) { return "a", []string{"a", "b"} }
	})
	probe := func(self string, secs uint16) dhcptest.Sample {
		p, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1}, dhcpv4.WithUserClass("cloudlets server "+self, false))
		if err != nil {
			t.Fatal(err)
		}
		p.NumSeconds = secs
		return dhcptest.Sample{Name: "probe of " + self, Req: dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: dhcp.ServerPort}}
	}
	b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: probe("b", longSecs).Req.Packet.ToBytes()}
	if e := b.put(probe("c", longSecs)); e.Reply != "OFFER" || !strings.HasSuffix(e.Client.UserClass, "c") {
		t.Errorf("exchange %+v", e)
	}
	if n := len(b.exchanges); n != 0 {
		t.Errorf("%d more exchanges", n)
	}
}
