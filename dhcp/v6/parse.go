package v6

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp/serving"
)

const (
	// maxHops is how many relay agents a packet may come by (RFC 8415, 7.6).
	maxHops = 8
	// maxOptions is how many options a message may have.
	maxOptions = 64
	// maxID is the longest DUID, in bytes (RFC 8415, 11.1: 128, and its type).
	maxID = 130
)

// Request is a packet from a client.
type Request struct {
	Message *dhcpv6.Message
	// Relays are the messages of the relay agents that it came by, that of the one
	// next to this server first.
	Relays []*dhcpv6.RelayMessage
	// Source is where it came from.
	Source netip.AddrPort
	// Port is the server's own port that it came to.
	Port uint16
}

// Parse reads a packet. It refuses what no client and no relay agent sends to a server.
func Parse(data []byte, source netip.AddrPort) (Request, error) {
	req := Request{Source: source, Port: ServerPort}
	if len(data) > serving.MaxPacket {
		return req, fmt.Errorf("it has more than %d bytes", serving.MaxPacket)
	}
	if err := checkNames(data, 0); err != nil {
		return req, err
	}
	p, err := dhcpv6.FromBytes(data)
	if err != nil {
		return req, err
	}
	for p != nil {
		switch m := p.(type) {
		case *dhcpv6.Message:
			req.Message = m
			return req, req.check()
		case *dhcpv6.RelayMessage:
			if m.MessageType != dhcpv6.MessageTypeRelayForward || len(req.Relays) == maxHops || len(m.Options.Options) > maxOptions {
				return req, fmt.Errorf("it is no message of a relay agent to a server, or came by more than %d of them", maxHops)
			}
			req.Relays = append(req.Relays, m)
			p = m.Options.RelayMessage()
		}
	}
	return req, errors.New("a relay agent's message has no message of a client in it")
}

// check checks what RFC 8415, 16 asks of messages.
func (r Request) check() error {
	m := r.Message
	if len(m.Options.Options) > maxOptions {
		return fmt.Errorf("it has more than %d options", maxOptions)
	}
	client, server := m.Options.ClientID(), m.Options.ServerID()
	for _, id := range []dhcpv6.DUID{client, server} {
		if id != nil && len(id.ToBytes()) > maxID {
			return fmt.Errorf("it has a DUID of more than %d bytes", maxID)
		}
	}
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind:
		if client == nil || server != nil {
			return fmt.Errorf("a %s wants the client's identifier, and no server's", m.MessageType)
		}
	case dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		if client == nil || server == nil {
			return fmt.Errorf("a %s wants the client's identifier and the server's", m.MessageType)
		}
	case dhcpv6.MessageTypeInformationRequest:
		if len(m.Options.IANA()) > 0 {
			return errors.New("an Information-request asks for no address")
		}
	default:
		return fmt.Errorf("a %s is no message of a client", m.MessageType)
	}
	return nil
}
