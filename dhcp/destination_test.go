package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestDestination(t *testing.T) {
	mac, _ := net.ParseMAC("52:54:00:00:00:03")
	yours, relay, has := net.IPv4(10, 77, 0, 100).To4(), net.IPv4(10, 88, 0, 1).To4(), net.IPv4(10, 77, 0, 50).To4()
	source := netip.MustParseAddrPort("10.77.0.50:4011")
	for _, test := range []struct {
		name               string
		giaddr, ciaddr, yi net.IP
		broadcast          bool
		port               uint16
		source             netip.AddrPort
		message            dhcpv4.MessageType
		want               Destination
	}{
		{name: "relayed", giaddr: relay, ciaddr: has, yi: yours, want: Destination{Addr: netip.MustParseAddrPort("10.88.0.1:67")}},
		{name: "relayed refusal", giaddr: relay, message: dhcpv4.MessageTypeNak, want: Destination{Addr: netip.MustParseAddrPort("10.88.0.1:67")}},
		{name: "boot port", port: BootPort, source: source, ciaddr: has, want: Destination{Addr: source}},
		{name: "boot port, client on port 68", port: BootPort, source: netip.MustParseAddrPort("10.77.0.50:68"), want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "boot port, no source address", port: BootPort, source: netip.MustParseAddrPort("0.0.0.0:68"), want: Destination{Broadcast, everyone, nil}},
		{name: "refusal of a renewal", ciaddr: has, message: dhcpv4.MessageTypeNak, want: Destination{Broadcast, everyone, nil}},
		{name: "has an address", ciaddr: has, yi: has, want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "has an address, wants broadcast", ciaddr: has, yi: has, broadcast: true, want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "claims a broadcast address", ciaddr: net.IPv4bcast.To4(), yi: yours, want: Destination{Hardware, netip.MustParseAddrPort("10.77.0.100:68"), mac}},
		{name: "wants broadcast", yi: yours, broadcast: true, want: Destination{Broadcast, everyone, nil}},
		{name: "gets no address", want: Destination{Broadcast, everyone, nil}},
		{name: "gets its first address", yi: yours, want: Destination{Hardware, netip.MustParseAddrPort("10.77.0.100:68"), mac}},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := Request{Packet: &dhcpv4.DHCPv4{GatewayIPAddr: test.giaddr, ClientIPAddr: test.ciaddr}, Port: max(test.port, ServerPort), Source: test.source}
			p := &dhcpv4.DHCPv4{YourIPAddr: test.yi, ClientHWAddr: mac, Options: dhcpv4.Options{53: {byte(test.message)}}}
			if test.broadcast {
				p.SetBroadcast()
			}
			if got := destination(req, p); !sameDestination(got, test.want) {
				t.Errorf("goes to %s, want %s", fmt.Sprint(got), fmt.Sprint(test.want))
			}
		})
	}
}

func sameDestination(a, b Destination) bool {
	return a.Route == b.Route && a.Addr == b.Addr && a.MAC.String() == b.MAC.String()
}
