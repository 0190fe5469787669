// Package wake switches machines on by Wake-on-LAN: a packet that a network card
// recognises while the rest of the machine has no power.
package wake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision/power"
)

// port is the UDP port of discard. Cards look for the pattern anywhere in a frame.
const port = 9

// The packet is sent so often, since nothing answers it, and a switch may have
// forgotten the machine's port.
const (
	repeats = 3
	between = 100 * time.Millisecond
)

// Link is a network on which packets are sent.
type Link struct {
	// Own is the server's address on the network.
	Own netip.Prefix
	// Interface is the network's interface, for IPv6.
	Interface string
}

// Controller wakes a machine.
type Controller struct {
	// Cards are the hardware addresses of the machine's network cards.
	Cards []net.HardwareAddr
	// Links returns the networks on which the machine may be.
	Links func() []Link
}

var _ power.Controller = (*Controller)(nil)

// State implements [power.Controller]: nothing tells.
func (c *Controller) State(context.Context) (power.State, error) { return power.Unknown, nil }

// Do implements [power.Controller]. It can only switch on.
func (c *Controller) Do(ctx context.Context, action power.Action) error {
	if action != power.On {
		return power.Unsupported(action, "Wake-on-LAN only switches on; name the machine's management controller in its file for more")
	}
	links := c.Links()
	if len(links) == 0 {
		return errors.New("send Wake-on-LAN: the server has no address on a served network now; see `cloudlets networks`")
	}
	for i := range repeats {
		if i > 0 {
			if err := pause.For(ctx, between); err != nil {
				return err
			}
		}
		if err := c.send(ctx, links); err != nil {
			return err
		}
	}
	return nil
}

// send sends one packet for each card on each network. It fails if a card's packet
// could be sent nowhere.
func (c *Controller) send(ctx context.Context, links []Link) error {
	for _, card := range c.Cards {
		var failed error
		sent := false
		for _, link := range links {
			err := link.send(ctx, Packet(card))
			sent, failed = sent || err == nil, errors.Join(failed, err)
		}
		if !sent {
			return fmt.Errorf("send Wake-on-LAN to %s: %w", card, failed)
		}
	}
	return nil
}

func (l Link) send(ctx context.Context, packet []byte) error {
	from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Own.Addr(), 0))
	dialer := net.Dialer{LocalAddr: from}
	conn, err := dialer.DialContext(ctx, "udp", netip.AddrPortFrom(l.everyone(), port).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(packet)
	return err
}

// everyone is the address of all stations of a network: its broadcast address, or of
// IPv6 that of all nodes.
func (l Link) everyone() netip.Addr {
	if l.Own.Addr().Is6() {
		return netip.MustParseAddr("ff02::1").WithZone(l.Interface)
	}
	bytes := l.Own.Addr().As4()
	for bit := l.Own.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(bytes)
}

// Packet is the payload that wakes a card: six bytes of ones, and its address 16
// times.
func Packet(card net.HardwareAddr) []byte {
	return append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(card, 16)...)
}
