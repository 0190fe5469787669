package v6

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"cloudlets/dhcp"
)

// Identity is what the server says about itself to a client.
type Identity struct {
	// DUID is the server's identifier (option 2).
	DUID dhcpv6.DUID
	// TFTP is the TFTP server that clients are sent to.
	TFTP netip.Addr
	// Network is the one that the client is on.
	Network Network
}

// Grant is what the lease table says about the address that a request is about.
type Grant struct {
	// Addr is the address that the client has or is offered; invalid if none.
	Addr netip.Addr
	// Term is how long it has it.
	Term time.Duration
	// Refused is the address that it asked for and must not use, if any. Off says that
	// this is an address of another link.
	Refused netip.Addr
	Off     bool
	// NewLease says that the client had no lease of Addr before.
	NewLease bool
	// Reason says why, for the machine's trace.
	Reason string
}

// Reply is what a packet is answered.
type Reply struct {
	Message *dhcpv6.Message // nil if the server stays silent
	URL     string          // of the boot file that it names, if any
	Reason  string
	// NewLease says that the client had no lease of its address before.
	NewLease bool
}

func silence(format string, args ...any) Reply { return Reply{Reason: fmt.Sprintf(format, args...)} }

// Answer decides the reply to a request: a pure function of the request, the server,
// the lease and the boot file. The lease must be stored before a Reply is sent.
func Answer(req Request, c dhcp.Client, id Identity, g Grant, boot dhcp.Boot) Reply {
	m := req.Message
	if server := m.Options.ServerID(); server != nil && !server.Equal(id.DUID) {
		return silence("it is for another server")
	}
	switch id.Network.Mode {
	case dhcp.Off:
		return silence("DHCP is off on the network %s", id.Network.Subnet)
	case dhcp.Proxy:
		return answerAsProxy(req, c, id, boot)
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit:
		return withAddress(req, c, id, dhcpv6.MessageTypeAdvertise, g, boot)
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew:
		return withAddress(req, c, id, dhcpv6.MessageTypeReply, g, boot)
	case dhcpv6.MessageTypeRebind:
		if !g.Addr.IsValid() && !g.Off {
			return silence("%s", g.Reason) // another server may know better (RFC 8415, 18.3.5)
		}
		return withAddress(req, c, id, dhcpv6.MessageTypeReply, g, boot)
	case dhcpv6.MessageTypeConfirm:
		return confirm(req, id)
	case dhcpv6.MessageTypeInformationRequest:
		p := newReply(req, id, dhcpv6.MessageTypeReply)
		addNetwork(p, req, id.Network)
		return withBoot(p, c, id, boot, "it has an address")
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		p := newReply(req, id, dhcpv6.MessageTypeReply)
		p.AddOption(status(iana.StatusSuccess, g.Reason))
		return Reply{Message: p, Reason: g.Reason}
	}
	return silence("a server does not answer a %s", m.MessageType)
}

// answerAsProxy answers boot clients beside the server that gives them addresses.
//
// UEFI takes an offer without an address for a proxy's: HTTP Boot with its URL, and PXE
// by asking for the file once more on the boot port. An iPXE takes all that it wants
// from one server. It asks here only if the router says that addresses do not come by
// DHCPv6 and other configuration does.
func answerAsProxy(req Request, c dhcp.Client, id Identity, boot dhcp.Boot) Reply {
	kind, uefi := req.Message.MessageType, c.Kind == dhcp.HTTPBoot || c.Kind == dhcp.PXE
	var answer dhcpv6.MessageType
	switch {
	case c.Kind == dhcp.Plain:
		return silence("the proxy answers boot clients alone")
	case kind == dhcpv6.MessageTypeSolicit && uefi && req.Port == ServerPort:
		answer = dhcpv6.MessageTypeAdvertise
	case kind == dhcpv6.MessageTypeRequest && uefi && req.Port == BootPort,
		kind == dhcpv6.MessageTypeInformationRequest:
		answer = dhcpv6.MessageTypeReply
	default:
		return silence("the network's own DHCPv6 server answers this")
	}
	r := withBoot(newReply(req, id, answer), c, id, boot, "proxy")
	if r.URL == "" {
		return Reply{Reason: r.Reason}
	}
	return r
}

// newReply begins a reply with the identifiers that every one has.
func newReply(req Request, id Identity, t dhcpv6.MessageType) *dhcpv6.Message {
	p := &dhcpv6.Message{MessageType: t, TransactionID: req.Message.TransactionID}
	if client := req.Message.GetOneOption(dhcpv6.OptionClientID); client != nil {
		p.AddOption(client)
	}
	p.AddOption(dhcpv6.OptServerID(id.DUID))
	return p
}

// withAddress answers what asks for an address.
func withAddress(req Request, c dhcp.Client, id Identity, t dhcpv6.MessageType, g Grant, boot dhcp.Boot) Reply {
	p := newReply(req, id, t)
	addIdentities(p, req.Message, g)
	if !g.Addr.IsValid() {
		return Reply{Message: p, Reason: g.Reason}
	}
	r := withBoot(p, c, id, boot, g.Reason)
	if r.URL != "" && t == dhcpv6.MessageTypeAdvertise {
		// Firmware then takes this offer at once, and does not wait for others (RFC
		// 8415, 18.2.1).
		p.AddOption(dhcpv6.OptPreference(255))
	}
	addNetwork(p, req, id.Network)
	return r
}

// withBoot adds the boot file to a reply, if the client may boot.
func withBoot(p *dhcpv6.Message, c dhcp.Client, id Identity, boot dhcp.Boot, reason string) Reply {
	if c.Kind == dhcp.Plain {
		return Reply{Message: p, Reason: reason}
	}
	url, err := bootURL(c, boot, id.TFTP)
	if err != nil {
		return Reply{Message: p, Reason: reason + "; " + err.Error()}
	}
	addBoot(p, c, url, id.Network.Mode)
	reason += "; " + c.Firmware.String() + " " + c.Kind.String() + ", URL"
	if boot.Reason != "" {
		reason += "; " + boot.Reason
	}
	return Reply{Message: p, URL: url, Reason: reason}
}

// addIdentities answers each identity association. The client gets one address, in the
// first one; it gets no temporary addresses and no prefixes.
func addIdentities(p, m *dhcpv6.Message, g Grant) {
	for i, ia := range m.Options.IANA() {
		granted := &dhcpv6.OptIANA{IaId: ia.IaId}
		switch {
		case i > 0:
			granted.Options.Add(status(iana.StatusNoAddrsAvail, "a client gets one address"))
		case g.Addr.IsValid():
			granted.T1, granted.T2 = g.Term/2, g.Term/5*4
			granted.Options.Add(address(g.Addr, g.Term))
			for _, old := range ia.Options.Addresses() {
				if a := toAddr(old.IPv6Addr); a != g.Addr && m.MessageType != dhcpv6.MessageTypeSolicit && a.IsValid() {
					granted.Options.Add(address(a, 0)) // it has to leave this one (RFC 8415, 18.3.4)
				}
			}
		default:
			refuse(granted, m.MessageType, g)
		}
		p.AddOption(granted)
	}
	for _, ia := range m.Options.IATA() {
		none := &dhcpv6.OptIATA{IaId: ia.IaId}
		none.Options.Add(status(iana.StatusNoAddrsAvail, "there are no temporary addresses"))
		p.AddOption(none)
	}
	for _, ia := range m.Options.IAPD() {
		none := &dhcpv6.OptIAPD{IaId: ia.IaId}
		none.Options.Add(status(iana.StatusNoPrefixAvail, "there are no prefixes to delegate"))
		p.AddOption(none)
	}
}

// refuse says in an identity association why it has no address.
func refuse(ia *dhcpv6.OptIANA, t dhcpv6.MessageType, g Grant) {
	renews := t == dhcpv6.MessageTypeRenew || t == dhcpv6.MessageTypeRebind
	switch {
	case renews && g.Off:
		ia.Options.Add(address(g.Refused, 0)) // RFC 8415, 18.3.4 and 18.3.5
	case renews:
		ia.Options.Add(status(iana.StatusNoBinding, g.Reason)) // it asks for another one then
	case g.Off:
		ia.Options.Add(status(iana.StatusNotOnLink, g.Reason))
	default:
		ia.Options.Add(status(iana.StatusNoAddrsAvail, g.Reason))
	}
}

func address(a netip.Addr, term time.Duration) *dhcpv6.OptIAAddress {
	return &dhcpv6.OptIAAddress{IPv6Addr: net.IP(a.AsSlice()), PreferredLifetime: term, ValidLifetime: term}
}

func status(code iana.StatusCode, text string) *dhcpv6.OptStatusCode {
	return &dhcpv6.OptStatusCode{StatusCode: code, StatusMessage: dhcp.Printable([]byte(text))}
}

// confirm answers a client that asks whether it is still on the link of its addresses
// (RFC 8415, 18.3.3).
func confirm(req Request, id Identity) Reply {
	code, text, any := iana.StatusSuccess, "the addresses are of this link", false
	for _, ia := range req.Message.Options.IANA() {
		for _, a := range ia.Options.Addresses() {
			any = true
			if addr := toAddr(a.IPv6Addr); !id.Network.Subnet.Contains(addr) {
				code, text = iana.StatusNotOnLink, fmt.Sprintf("%s is not an address of %s", addr, id.Network.Subnet)
			}
		}
	}
	if !any {
		return silence("the Confirm names no address")
	}
	p := newReply(req, id, dhcpv6.MessageTypeReply)
	p.AddOption(status(code, text))
	return Reply{Message: p, Reason: text}
}

// addNetwork adds of the network's configuration what the client asks for in option 6.
func addNetwork(p *dhcpv6.Message, req Request, n Network) {
	wanted := req.Message.Options.RequestedOptions()
	asks := func(code dhcpv6.OptionCode) bool { return slices.Contains(wanted, code) }
	if len(n.DNS) > 0 && asks(dhcpv6.OptionDNSRecursiveNameServer) {
		var all []net.IP
		for _, a := range n.DNS {
			all = append(all, a.AsSlice())
		}
		p.AddOption(dhcpv6.OptDNS(all...))
	}
	if n.Domain != "" && asks(dhcpv6.OptionDomainSearchList) {
		p.AddOption(dhcpv6.OptDomainSearchList(&rfc1035label.Labels{Labels: []string{n.Domain}}))
	}
	if len(n.NTP) > 0 && asks(dhcpv6.OptionNTPServer) {
		o := &dhcpv6.OptNTPServer{}
		for _, a := range n.NTP {
			server := dhcpv6.NTPSuboptionSrvAddr(a.AsSlice())
			o.Suboptions.Add(&server)
		}
		p.AddOption(o)
	}
}
