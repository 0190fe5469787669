package dhcp

import (
	"errors"
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// The offsets in bytes of the header's two text fields (RFC 2131, 2).
const (
	snameStart = 44
	fileStart  = 108
	fileEnd    = 236
)

// ErrHardware is the error of a client whose hardware address is not one of 6
// bytes: InfiniBand's has 20, and its clients send 8 bytes of it or none (RFC 4390).
var ErrHardware = errors.New("only hardware addresses of 6 bytes are served, as Ethernet and Wi-Fi have them")

// Parse reads a client's packet. Options that the client keeps in the
// header's sname and file fields (option overload, RFC 2131, 4.1) are added to
// the packet's options. The End option may be missing, as in packets of some
// firmware. Parse returns an error unless the packet is a request of a client
// with a hardware address of 6 bytes.
func Parse(b []byte) (*dhcpv4.DHCPv4, error) {
	end := byte(dhcpv4.OptionEnd.Code())
	p, err := dhcpv4.FromBytes(append(b[:len(b):len(b)], end))
	if err != nil {
		return nil, fmt.Errorf("parse DHCP packet of %d bytes: %w", len(b), err)
	}
	if p.OpCode != dhcpv4.OpcodeBootRequest {
		return nil, errors.New("parse DHCP packet: it is not a request")
	}
	if len(p.ClientHWAddr) != 6 {
		return nil, fmt.Errorf("parse DHCP packet: hardware type %d with an address of %d bytes: %w", p.HWType, len(p.ClientHWAddr), ErrHardware)
	}
	return p, readOverload(p, b)
}

// readOverload adds the options in the header's text fields to the others.
func readOverload(p *dhcpv4.DHCPv4, b []byte) error {
	overload := p.GetOneOption(optOverload)
	if len(overload) != 1 {
		return nil
	}
	if overload[0]&1 != 0 {
		p.BootFileName = ""
		if err := p.Options.FromBytes(b[fileStart:fileEnd]); err != nil {
			return fmt.Errorf("parse DHCP options in the file field: %w", err)
		}
	}
	if overload[0]&2 != 0 {
		p.ServerHostName = ""
		if err := p.Options.FromBytes(b[snameStart:fileStart]); err != nil {
			return fmt.Errorf("parse DHCP options in the sname field: %w", err)
		}
	}
	return nil
}
