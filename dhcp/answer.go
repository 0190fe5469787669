package dhcp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// The UDP ports of the service.
const (
	ServerPort = 67   // RFC 2131
	ClientPort = 68   // RFC 2131
	BootPort   = 4011 // PXE 2.1: where a proxy sends UEFI clients for the file name
)

// Mode is the role of a server on a network.
type Mode uint8

// The modes.
const (
	Pool  Mode = iota // the network's DHCP server: addresses and boot files
	Proxy             // beside the network's DHCP server: boot files only
	Off               // its clients get no answer; on an interface, relays still do
)

// String names the mode as the logs do.
func (m Mode) String() string {
	switch m {
	case Proxy:
		return "proxy"
	case Off:
		return "off"
	}
	return "pool"
}

// Request is one packet, with the port and the address that it came from.
type Request struct {
	Packet *dhcpv4.DHCPv4
	Client Client
	// Port is the port that it came in on, ServerPort or BootPort.
	Port uint16
	// Source is where it came from.
	Source netip.AddrPort
	// Unicast says that it was sent to this server alone, and not to all.
	Unicast bool
}

// Identity is what a server says about itself on one network.
type Identity struct {
	// Addr is the server's own address: its identifier (option 54).
	Addr netip.Addr
	// TFTP is the TFTP server; invalid means Addr.
	TFTP netip.Addr
	// Network is the client's network, with what its clients are told.
	Network
}

// Verdict is the lease table's answer to a client.
type Verdict uint8

// The verdicts.
const (
	NoAddress Verdict = iota // the request is for another server, or no address is free
	Granted                  // the address is the client's
	Refused                  // the client must not use the address that it asked for
)

// Grant is the lease table's answer to a request. A proxy has the zero Grant.
type Grant struct {
	Verdict  Verdict
	Addr     netip.Addr
	Hostname string
	// Term is how long the lease lasts.
	Term time.Duration
	// Reason says why the verdict is what it is.
	Reason string
	// Misplaced says why the client does not get the address that is reserved for
	// it, if there is one.
	Misplaced string
	// Unproven says that the client never had the address, so that another station
	// may have it.
	Unproven bool
}

// Reply is what a server does about a request. A nil Packet is silence.
type Reply struct {
	Packet *dhcpv4.DHCPv4
	To     Destination
	// File is the boot file that the packet names, if any.
	File string
	// Reason says why the reply is what it is.
	Reason string
	// NewLease says that the client had no lease of its address before.
	NewLease bool
}

// NoReply is the Reply of a server that stays silent.
func NoReply(format string, args ...any) Reply {
	return Reply{Reason: fmt.Sprintf(format, args...)}
}

// Answer decides the reply to a request. It has the rules of what real firmware
// accepts, in one place. It depends on its arguments only and changes none of
// them.
func Answer(req Request, id Identity, grant Grant, boot Boot) Reply {
	switch t := req.Packet.MessageType(); t {
	case dhcpv4.MessageTypeDiscover:
		return answerDiscover(req, id, grant, boot)
	case dhcpv4.MessageTypeRequest:
		return answerRequest(req, id, grant, boot)
	case dhcpv4.MessageTypeInform:
		return answerInform(req, id, boot)
	case dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeRelease:
		return NoReply("%s is never answered%s", t, because(grant.Reason))
	default:
		return NoReply("not a message that a server answers (type %d)", t)
	}
}

// NeedsBoot says whether the reply to a request depends on what its client
// shall boot.
func (req Request) NeedsBoot(id Identity, grant Grant) bool {
	if req.Client.Kind == Plain {
		return false
	}
	switch req.Packet.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return req.Port != BootPort && (id.Mode == Proxy || grant.Verdict == Granted)
	case dhcpv4.MessageTypeRequest:
		return req.Port == BootPort || grant.Verdict == Granted || req.AsksBootServer()
	case dhcpv4.MessageTypeInform:
		return true
	}
	return false
}

func answerDiscover(req Request, id Identity, grant Grant, boot Boot) Reply {
	switch {
	case req.Port == BootPort:
		return NoReply("a DISCOVER does not belong on port %d", BootPort)
	case id.Mode == Proxy:
		return answerBoot(req, id, boot, dhcpv4.MessageTypeOffer, proxyOffer)
	case grant.Verdict != Granted:
		return NoReply("no address: %s", grant.Reason)
	default:
		return answerLease(req, id, grant, boot, dhcpv4.MessageTypeOffer)
	}
}

func answerRequest(req Request, id Identity, grant Grant, boot Boot) Reply {
	switch {
	case req.Port == BootPort || req.AsksBootServer():
		return answerBoot(req, id, boot, dhcpv4.MessageTypeAck, bootServer)
	case id.Mode == Proxy:
		return NoReply("a REQUEST is for the network's own DHCP server")
	case grant.Verdict == Refused:
		return refuse(req, id, grant)
	case grant.Verdict != Granted:
		return NoReply("no address: %s", grant.Reason)
	default:
		return answerLease(req, id, grant, boot, dhcpv4.MessageTypeAck)
	}
}

// answerInform tells a client that has an address how the network is
// configured (RFC 2131, 4.3.5).
func answerInform(req Request, id Identity, boot Boot) Reply {
	if req.Port == BootPort || req.Client.Kind != Plain {
		return answerBoot(req, id, boot, dhcpv4.MessageTypeAck, bootServer)
	}
	if id.Mode == Proxy {
		return NoReply("an INFORM is for the network's own DHCP server")
	}
	if !informant(req).IsValid() && !ToAddr(req.Packet.GatewayIPAddr).IsValid() {
		return NoReply("an INFORM that says no address, and comes from none")
	}
	p := newReply(req, id, dhcpv4.MessageTypeAck)
	addNetwork(p, req, id)
	return finish(req, p, "", "the client has an address and asked for the rest")
}

// answerBoot names a boot file but gives no address.
func answerBoot(req Request, id Identity, boot Boot, t dhcpv4.MessageType, s step) Reply {
	if req.Client.Kind == Plain {
		return NoReply("not a boot client")
	}
	options, err := chooseBootOptions(req, id, boot, s)
	if err != nil {
		return NoReply("%s", err)
	}
	p := newReply(req, id, t)
	if s == proxyOffer {
		p.SetBroadcast()
	}
	if item, ok := bootItem(req); ok && s == bootServer {
		p.YourIPAddr = req.Packet.ClientIPAddr
		options.vendor = encapsulate(suboption{pxeBootItem, item})
	}
	options.apply(p)
	return finish(req, p, options.file, options.reason+because(boot.Reason))
}

// answerLease gives an address and, to a boot client, its file. Both the OFFER
// and the ACK name the file, since some firmware reads only one of them.
func answerLease(req Request, id Identity, grant Grant, boot Boot, t dhcpv4.MessageType) Reply {
	p := newReply(req, id, t)
	addLease(p, req, id, grant)
	if req.Client.Kind == Plain {
		return finish(req, p, "", grant.Reason)
	}
	options, err := chooseBootOptions(req, id, boot, withLease)
	if err != nil {
		// With an address but no file, firmware goes to its next boot device.
		if boot.Final && req.Client.isIPXE() {
			setOption(p, optIPXE, waitForNoProxy())
		}
		return finish(req, p, "", fmt.Sprintf("%s, the address only: %s", grant.Reason, err))
	}
	options.apply(p)
	return finish(req, p, options.file, grant.Reason+", "+options.reason+because(boot.Reason))
}

// refuse is a NAK. It has no options that a client could take for its
// configuration. It is flagged as broadcast, so that a relay broadcasts it to
// its client (RFC 2131, 4.3.2).
func refuse(req Request, id Identity, grant Grant) Reply {
	p := newReply(req, id, dhcpv4.MessageTypeNak)
	p.ClientIPAddr = nil
	p.UpdateOption(dhcpv4.OptMessage(grant.Reason))
	p.SetBroadcast()
	return finish(req, p, "", grant.Reason)
}

// finish makes a packet fit its client and adds where it goes.
func finish(req Request, p *dhcpv4.DHCPv4, file, reason string) Reply {
	fit(p, sizeLimit(req.Packet))
	return Reply{Packet: p, To: destination(req, p), File: file, Reason: reason}
}

// AsksBootServer says whether a REQUEST is PXE's boot-server step, in which the
// client already has an address, and not a request for an address.
func (req Request) AsksBootServer() bool {
	_, ok := bootItem(req)
	return ok && req.Client.Kind != Plain && ToAddr(req.Packet.ClientIPAddr).IsValid()
}

// bootItem is the boot server type that a PXE client asks for (option 43.71).
func bootItem(req Request) ([]byte, bool) {
	item, ok := SuboptionOf(req.Packet.GetOneOption(optVendor), pxeBootItem)
	return item, ok && len(item) == 4
}

// because is a reason as the end of a sentence; it is empty for none.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
