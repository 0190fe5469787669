package v6

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp"
)

// TestReplyToRelay: a relay agent hears on the port of servers from whichever port it
// sent, unless it says that it hears there. It gets back what it added to the packet.
func TestReplyToRelay(t *testing.T) {
	forward := func(m dhcpv6.DHCPv6, hops uint8, link string, options ...dhcpv6.Option) *dhcpv6.RelayMessage {
		r := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, HopCount: hops, LinkAddr: net.ParseIP(link), PeerAddr: net.ParseIP("fe80::1")}
		r.AddOption(dhcpv6.OptRelayMessage(m))
		for _, o := range options {
			r.AddOption(o)
		}
		return r
	}
	marked := dhcpv6.OptInterfaceID([]byte("port 7"))
	for _, test := range []struct {
		name                 string
		inner, outer         []dhcpv6.Option // what the agents next to the client and the server add
		from, to             string
		innerMore, outerMore int
	}{
		{"agents on the usual port", []dhcpv6.Option{marked}, nil, "[fd77::9]:547", "[fd77::9]:547", 1, 0},
		{"an agent that sends from another port", nil, nil, "[fd77::9]:5000", "[fd77::9]:547", 0, 0},
		{"an agent that hears on another port", nil, []dhcpv6.Option{dhcpv6.OptRelayPort(0), marked}, "[fd77::9]:5000", "[fd77::9]:5000", 0, 2},
		{"another port before the last agent", []dhcpv6.Option{dhcpv6.OptRelayPort(7)}, nil, "[fd77::9]:5000", "[fd77::9]:547", 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			packet := forward(forward(asks(dhcpv6.MessageTypeSolicit), 0, "fd88::9", test.inner...), 1, "::", test.outer...)
			req, err := Parse(packet.ToBytes(), netip.MustParseAddrPort(test.from))
			if err != nil {
				t.Fatal(err)
			}
			_, r := answer(t, req, server, leased, dhcp.Boot{})
			if to := req.replyTo().String(); to != test.to {
				t.Errorf("the reply goes to %s, want %s", to, test.to)
			}
			m, err := dhcpv6.FromBytes(req.wrap(r.Message).ToBytes())
			if err != nil {
				t.Fatal(err)
			}
			for i, extra := range []int{test.outerMore, test.innerMore} {
				relay, sent := m.(*dhcpv6.RelayMessage), req.Relays[i]
				if relay.MessageType != dhcpv6.MessageTypeRelayReply || relay.HopCount != sent.HopCount || !relay.LinkAddr.Equal(sent.LinkAddr) || !relay.PeerAddr.Equal(sent.PeerAddr) || len(relay.Options.Options) != 1+extra {
					t.Errorf("agent %d gets %s", i, relay.Summary())
				}
				for _, code := range []dhcpv6.OptionCode{dhcpv6.OptionRelayPort, dhcpv6.OptionInterfaceID} {
					was, is := sent.GetOneOption(code), relay.GetOneOption(code)
					if (was == nil) != (is == nil) || was != nil && !bytes.Equal(was.ToBytes(), is.ToBytes()) {
						t.Errorf("agent %d sent %s and gets %s", i, was, is)
					}
				}
				m = relay.Options.RelayMessage()
			}
			if m.Type() != dhcpv6.MessageTypeAdvertise {
				t.Errorf("the client gets %s", m.Summary())
			}
		})
	}
}
