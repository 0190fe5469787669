package v4

import (
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
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
