package dhcp

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Route says how a reply is sent.
type Route uint8

// The routes.
const (
	Routed    Route = iota // by ordinary UDP, to an address that is in use
	Broadcast              // to every station on the receiving interface
	Hardware               // to the client's hardware address, since it does not answer ARP yet
)

// Destination is where a reply goes.
type Destination struct {
	Route Route
	Addr  netip.AddrPort
	// MAC is the client's hardware address if Route is Hardware.
	MAC net.HardwareAddr
}

// everyone is the limited broadcast address with the clients' port.
var everyone = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), ClientPort)

// destination chooses where the reply p goes, by RFC 2131, 4.1, and by PXE 2.1
// for port 4011.
func destination(req Request, p *dhcpv4.DHCPv4) Destination {
	relay, client := ToAddr(req.Packet.GatewayIPAddr), ToAddr(req.Packet.ClientIPAddr)
	if req.Packet.MessageType() == dhcpv4.MessageTypeInform {
		client = informant(req)
	}
	switch {
	case relay.IsValid():
		return Destination{Addr: netip.AddrPortFrom(relay, ServerPort)}
	case p.MessageType() == dhcpv4.MessageTypeNak:
		return Destination{Route: Broadcast, Addr: everyone}
	case req.Port == BootPort && isStation(req.Source.Addr()):
		return Destination{Addr: req.Source}
	case isStation(client):
		return Destination{Addr: netip.AddrPortFrom(client, ClientPort)}
	}
	yours := ToAddr(p.YourIPAddr)
	if p.IsBroadcast() || !yours.IsValid() || p.HWType == iana.HWTypeInfiniband {
		return Destination{Route: Broadcast, Addr: everyone}
	}
	return Destination{Hardware, netip.AddrPortFrom(yours, ClientPort), p.ClientHWAddr}
}

// informant is the address of a client that sent an INFORM. A client should name it
// (RFC 2131, 4.4.3). Those that do not are believed to have the one that the packet
// came from.
func informant(req Request) netip.Addr {
	if client := ToAddr(req.Packet.ClientIPAddr); client.IsValid() {
		return client
	}
	if from := req.Source.Addr(); isStation(from) && !ToAddr(req.Packet.GatewayIPAddr).IsValid() {
		return from
	}
	return netip.Addr{}
}

// isStation says whether a single host can have the address.
func isStation(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != everyone.Addr()
}
