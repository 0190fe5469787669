package v6

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// echoed are the options of a relay agent's message that it gets back with the reply (RFC
// 8415, 21.18; 4649; 8357).
var echoed = []dhcpv6.OptionCode{dhcpv6.OptionInterfaceID, dhcpv6.OptionRemoteID, dhcpv6.OptionRelayPort}

// wrap makes of a reply to a client what is sent: it goes back by the same relay agents.
func (r Request) wrap(m *dhcpv6.Message) dhcpv6.DHCPv6 {
	var reply dhcpv6.DHCPv6 = m
	for i := len(r.Relays) - 1; i >= 0; i-- {
		forward := r.Relays[i]
		outer := &dhcpv6.RelayMessage{
			MessageType: dhcpv6.MessageTypeRelayReply, HopCount: forward.HopCount,
			LinkAddr: forward.LinkAddr, PeerAddr: forward.PeerAddr,
		}
		outer.AddOption(dhcpv6.OptRelayMessage(reply))
		for _, code := range echoed {
			if o := forward.GetOneOption(code); o != nil {
				outer.AddOption(o)
			}
		}
		reply = outer
	}
	return reply
}

// replyTo is where the reply goes. A client hears on the port from which it asked. A relay
// agent hears on the port of servers (RFC 8415, 7.2), unless it says by an option that it
// hears on the one from which it sent (RFC 8357).
func (r Request) replyTo() netip.AddrPort {
	if len(r.Relays) == 0 || r.Relays[0].GetOneOption(dhcpv6.OptionRelayPort) != nil {
		return r.Source
	}
	return netip.AddrPortFrom(r.Source.Addr(), ServerPort)
}

// link is an address of the link that the client is on, as its relay agents say (RFC
// 8415, 13.1); invalid if they do not, or if there are none.
func (r Request) link() netip.Addr {
	for i := len(r.Relays) - 1; i >= 0; i-- {
		if a, ok := netip.AddrFromSlice(r.Relays[i].LinkAddr); ok && !a.IsUnspecified() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

// relay is the relay agent next to this server; invalid if there is none.
func (r Request) relay() netip.Addr {
	if len(r.Relays) == 0 {
		return netip.Addr{}
	}
	return r.Source.Addr().WithZone("")
}

// peer is the client's own address, from which it sent.
func (r Request) peer() netip.Addr {
	if len(r.Relays) == 0 {
		return r.Source.Addr().WithZone("")
	}
	a, _ := netip.AddrFromSlice(r.Relays[len(r.Relays)-1].PeerAddr)
	return a
}
