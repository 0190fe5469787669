package dhcp_test

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestRoutesToServices: a client that asks for routes gets one to each service of this
// host, with the default route, which it ignores elsewhere then (RFC 3442).
func TestRoutesToServices(t *testing.T) {
	const (
		byDefault = "000a4d00fe"         // 0.0.0.0/0 by 10.77.0.254
		byServer  = "20a9fea9fe0a4d0001" // 169.254.169.254/32 by 10.77.0.1
		byRouter  = "20a9fea9fe0a5800fe" // the same by 10.88.0.254
		byPerson  = "180a32000a4d0009"   // 10.50.0.0/24 by 10.77.0.9
	)
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	none := netip.Addr{}
	for _, test := range []struct {
		name    string
		asked   []byte // option 55
		changes func(*dhcp.Network)
		want    string
	}{
		{"a router", []byte{1, 121, 3}, func(*dhcp.Network) {}, byDefault + byServer},
		{"no router", []byte{121}, func(n *dhcp.Network) { n.Router = none }, byServer},
		{"not asked for", []byte{1, 3}, func(*dhcp.Network) {}, ""},
		{"no list", nil, func(*dhcp.Network) {}, ""},
		{"no services", []byte{121}, func(n *dhcp.Network) { n.Services = nil }, ""},
		{"a person's routes", []byte{121}, func(n *dhcp.Network) {
			n.Options = []dhcp.Option{{Code: 121, Value: unhex(byPerson)}}
		}, byPerson + byServer},
		{"behind a relay", []byte{121}, func(n *dhcp.Network) {
			n.Subnet, n.Router = netip.MustParsePrefix("10.88.0.0/24"), netip.MustParseAddr("10.88.0.254")
		}, "000a5800fe" + byRouter},
		{"behind a relay without a router", []byte{121}, func(n *dhcp.Network) {
			n.Subnet, n.Router = netip.MustParsePrefix("10.88.0.0/24"), none
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, sample := range []string{"udhcpc-discover", "udhcpc-request", "plain-inform"} {
				s := dhcptest.SampleNamed(t, sample)
				delete(s.Req.Packet.Options, 55)
				if test.asked != nil {
					s.Req.Packet.Options[55] = test.asked
				}
				id := testIdentity(dhcp.Pool)
				id.Services = []netip.Addr{netip.MustParseAddr("169.254.169.254")}
				test.changes(&id.Network)
				r := dhcp.Answer(s.Req, id, testGrant(dhcp.Pool), dhcp.Boot{})
				if r.Packet == nil {
					t.Fatalf("%s: no answer: %s", sample, r.Reason)
				}
				if got := hex.EncodeToString(r.Packet.Options[121]); got != test.want {
					t.Errorf("%s: routes %q, want %q", sample, got, test.want)
				}
				if had, want := r.Packet.Options[3] != nil, id.Router.IsValid(); had != want {
					t.Errorf("%s: option 3 is there: %t, want %t; clients that know no option 121 need it", sample, had, want)
				}
			}
		})
	}
}
