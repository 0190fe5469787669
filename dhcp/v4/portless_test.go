package v4

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
)

// TestProxyOnTheHostOfDnsmasq: both run on one interface of one host. A boot client
// hears both, and a plain one gets its address from dnsmasq.
func TestProxyOnTheHostOfDnsmasq(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	startDnsmasq(t, w.Server)
	seen := serve(t, w.Server, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}})
	found := probe(t, w.Client)
	if len(found) != 2 || found[0].Proxy() || !found[1].Proxy() {
		t.Errorf("a boot client hears %+v, want a DHCP server and a proxy", found)
	}
	for e := range next(t, seen) {
		if e.Request == "DISCOVER" {
			if e.Reply != "OFFER" {
				t.Errorf("the proxy answers %+v", e)
			}
			break
		}
	}
	out := dhcptest.In(t, w.Client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
	if !strings.Contains(out, "obtained from 10.99.0.1,") {
		t.Errorf("udhcpc says:\n%s", out)
	}
}

// TestPortlessReceivesAll: packets that wait are read together, as many as there is room
// for.
func TestPortlessReceivesAll(t *testing.T) {
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.99.0.2/24", "dev", "eth0")
	err := dhcptest.Inside(w.Server, func() error {
		s, err := ether.OpenPortless("eth0", netip.MustParseAddrPort("10.99.0.1:67"))
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.SetReadDeadline(time.Now().Add(dhcptest.Patience)); err != nil {
			return err
		}
		iface, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		// With this the packets are there when they are sent.
		dhcptest.Run(t, "ip", "-n", w.Client, "neigh", "add", "10.99.0.1", "lladdr", iface.HardwareAddr.String(), "dev", "eth0")
		err = dhcptest.Inside(w.Client, func() error {
			sender, err := net.ListenPacket("udp4", ":0")
			if err != nil {
				return err
			}
			defer sender.Close()
			for _, text := range []string{"one", "two", "three", "four"} {
				if _, err := sender.WriteTo([]byte(text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.99.0.1:67"))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		var texts []string
		for _, most := range []int{3, 3} {
			got := make([]ether.Datagram, most)
			n, err := s.Receive(got)
			if err != nil {
				return err
			}
			for _, d := range got[:n] {
				texts = append(texts, string(d.Data))
				if !d.Unicast || d.From.Addr() != netip.MustParseAddr("10.99.0.2") {
					t.Errorf("%q came from %s, unicast %t", d.Data, d.From, d.Unicast)
				}
			}
			texts = append(texts, "")
		}
		if all := strings.Join(texts, " "); all != "one two three  four " {
			t.Errorf("read %q", all)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
