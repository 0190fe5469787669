package dhcp

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Bounds of a reply's length in bytes. The length that a client states in
// option 57 includes the IP and UDP headers.
const (
	minMessageSize = 576  // RFC 2131, 2: every client must accept it
	maxMessageSize = 1500 // an Ethernet frame
	ipUDPHeaders   = 28
)

// newReply begins a reply with what every reply has: the request's identifiers
// and the server's own. EDK2 drops an offer without option 54.
func newReply(req Request, id Identity, t dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	q := req.Packet
	p := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        q.HWType,
		TransactionID: q.TransactionID,
		Flags:         q.Flags,
		GatewayIPAddr: bytes.Clone(q.GatewayIPAddr),
		ClientHWAddr:  bytes.Clone(q.ClientHWAddr),
		Options:       dhcpv4.Options{},
	}
	if t == dhcpv4.MessageTypeAck {
		p.ClientIPAddr = bytes.Clone(q.ClientIPAddr) // RFC 2131, table 3
	}
	p.UpdateOption(dhcpv4.OptMessageType(t))
	p.UpdateOption(dhcpv4.OptServerIdentifier(id.Addr.AsSlice()))
	for _, code := range []dhcpv4.OptionCode{
		optUUID,
		dhcpv4.OptionRelayAgentInformation, // RFC 3046, 2.2
		dhcpv4.OptionSubnetSelection,       // RFC 3011, 2
		dhcpv4.OptionClientIdentifier,      // RFC 6842, 3
	} {
		setOption(p, code, bytes.Clone(q.GetOneOption(code)))
	}
	return p
}

// addLease adds the client's address and the times of its lease.
func addLease(p *dhcpv4.DHCPv4, req Request, id Identity, g Grant) {
	p.YourIPAddr = net.IP(g.Addr.AsSlice())
	p.UpdateOption(dhcpv4.OptIPAddressLeaseTime(g.Term))
	p.UpdateOption(dhcpv4.OptRenewTimeValue((g.Term / 2).Truncate(time.Second)))
	p.UpdateOption(dhcpv4.OptRebindingTimeValue((g.Term / 8 * 7).Truncate(time.Second)))
	setOption(p, dhcpv4.OptionHostName, []byte(g.Hostname))
	addNetwork(p, req, id)
}

// addNetwork adds the network's configuration.
func addNetwork(p *dhcpv4.DHCPv4, req Request, id Identity) {
	n := id.Network
	if n.Subnet.IsValid() {
		p.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(n.Subnet.Bits(), 32)))
		p.UpdateOption(dhcpv4.OptBroadcastAddress(LastAddr(n.Subnet).AsSlice()))
	}
	if n.Router.IsValid() {
		p.UpdateOption(dhcpv4.OptRouter(n.Router.AsSlice()))
	}
	setOption(p, dhcpv4.OptionDomainNameServer, packed(n.DNS))
	setOption(p, dhcpv4.OptionNTPServers, packed(n.NTP))
	setOption(p, dhcpv4.OptionDomainName, []byte(n.Domain))
	asked := req.Packet.GetOneOption(dhcpv4.OptionParameterRequestList)
	for _, o := range n.Options {
		if len(asked) == 0 || bytes.IndexByte(asked, o.Code) >= 0 {
			setOption(p, dhcpv4.GenericOptionCode(o.Code), o.Value)
		}
	}
	addRoutes(p, req, id)
}

// packed are addresses as options have them.
func packed(addrs []netip.Addr) (b []byte) {
	for _, a := range addrs {
		b = append(b, a.AsSlice()...)
	}
	return b
}

// LastAddr is an IPv4 subnet's broadcast address.
func LastAddr(s netip.Prefix) netip.Addr {
	a := s.Masked().Addr().As4()
	host := ^uint32(0) >> s.Bits()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|host)
	return netip.AddrFrom4(a)
}

// sizeLimit is how many bytes of payload a reply to a packet may have: what the
// client states in option 57, or else what every client must accept.
func sizeLimit(q *dhcpv4.DHCPv4) int {
	size := minMessageSize
	if stated, err := q.MaxMessageSize(); err == nil {
		size = min(max(int(stated), minMessageSize), maxMessageSize)
	}
	return size - ipUDPHeaders
}

// fit deletes options until the reply fits, those that a client can best do
// without first. It deletes the file name only if the header has it too.
func fit(p *dhcpv4.DHCPv4, limit int) {
	droppable := append(furtherOptions(p),
		dhcpv4.OptionBroadcastAddress, dhcpv4.OptionDomainName,
		dhcpv4.OptionHostName, dhcpv4.OptionMessage)
	if p.BootFileName != "" {
		droppable = append(droppable, dhcpv4.OptionBootfileName)
	}
	// The identifier may have 255 bytes, which hardly fit into the size that
	// every client must accept.
	droppable = append(droppable, dhcpv4.OptionClientIdentifier, dhcpv4.OptionDomainNameServer)
	for _, code := range droppable {
		if sizeOf(p) <= limit {
			return
		}
		p.Options.Del(code)
	}
}

// sizeOf is how many bytes a packet takes: a header, the magic cookie, the options (each
// in pieces of 255 bytes, RFC 3396), and the end. The library pads shorter ones to 300.
func sizeOf(p *dhcpv4.DHCPv4) int {
	const header, cookie, least = 236, 4, 300
	size := header + cookie + 1
	for _, value := range p.Options {
		pieces := max(1, (len(value)+254)/255)
		size += 2*pieces + len(value)
	}
	return max(size, least)
}

// furtherOptions are the options of a reply that come from [Network.Options] only,
// in order.
func furtherOptions(p *dhcpv4.DHCPv4) (codes []dhcpv4.OptionCode) {
	for code := range p.Options {
		if !IsOwnOption(code) {
			codes = append(codes, dhcpv4.GenericOptionCode(code))
		}
	}
	slices.SortFunc(codes, func(a, b dhcpv4.OptionCode) int { return cmp.Compare(a.Code(), b.Code()) })
	return codes
}

// IsOwnOption says whether the server itself decides about an option, so that
// [Network.Options] must not contain it.
func IsOwnOption(code uint8) bool {
	switch dhcpv4.GenericOptionCode(code) {
	case 0, 255, // padding and the end
		1, 3, 6, 12, 15, 28, 42, // a network's own settings, and the machine's name
		43, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 67, 77, // the protocol, and booting
		82, 93, 94, 97, 118, 175: // relays, PXE and iPXE
		return true
	}
	return false
}
