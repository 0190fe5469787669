//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// dhcpClient is one of the programs of a machine that ask for an address.
type dhcpClient struct {
	name string
	// waits are the pauses after each DISCOVER and REQUEST. When they are over,
	// the program gives up.
	waits     []time.Duration
	broadcast bool
	secs      uint16 // from the start; it counts on from there
	options   []dhcpv4.Option
}

// The clients, as their packets were captured, with the time-outs of their
// sources.
var (
	// biosROM is a PXE ROM (PXE 2.1, 2.2.1: 4, 8, 16 and 32 seconds).
	biosROM = dhcpClient{"PXE ROM", pxeWaits, true, 4, []dhcpv4.Option{
		option(93, 0, 0), option(94, 1, 2, 1), text(60, "PXEClient:Arch:00000:UNDI:002001"), option(57, 4, 0xec)}}
	// uefiROM is EDK2's PXE, and uefiHTTP its HTTP Boot.
	uefiROM = dhcpClient{"UEFI PXE", pxeWaits, true, 0, []dhcpv4.Option{
		option(93, 0, 7), option(94, 1, 3, 0), text(60, "PXEClient:Arch:00007:UNDI:003000"), option(57, 5, 0xc0)}}
	uefiHTTP = dhcpClient{"UEFI HTTP Boot", pxeWaits, true, 0, []dhcpv4.Option{
		option(93, 0, 16), option(94, 1, 3, 0), text(60, "HTTPClient:Arch:00016:UNDI:003000"), option(57, 5, 0xc0)}}
	// ipxeBIOS and ipxeUEFI are iPXE, as a network card's ROM or loaded by one.
	ipxeBIOS = dhcpClient{"iPXE", ipxeWaits, false, 4, append([]dhcpv4.Option{
		option(93, 0, 0), option(94, 1, 2, 1), text(60, "PXEClient:Arch:00000:UNDI:002001")}, ipxeOptions...)}
	ipxeUEFI = dhcpClient{"iPXE", ipxeWaits, false, 4, append([]dhcpv4.Option{
		option(93, 0, 7), option(94, 1, 3, 10), text(60, "PXEClient:Arch:00007:UNDI:003010")}, ipxeOptions...)}
	// agentDHCP is the agent in the RAM disk, and bystander any other host.
	agentDHCP = dhcpClient{"agent", repeated(2*time.Second, 90), true, 0, nil}
	bystander = dhcpClient{"bystander", repeated(2*time.Second, 5), false, 0, []dhcpv4.Option{text(60, "udhcp"), text(12, "bystander")}}
)

var (
	pxeWaits  = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	ipxeWaits = []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second}

	ipxeOptions = []dhcpv4.Option{text(77, "iPXE"), option(57, 5, 0xc0),
		// Its features: HTTP, iSCSI, DNS, bzImage and others.
		option(175, 0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x22, 1, 1, 0x13, 1, 1, 0x11, 1, 1, 0x27, 1, 1, 0x19, 1, 1, 0x29, 1, 1, 0x18, 1, 1)}
)

func option(code uint8, value ...byte) dhcpv4.Option {
	return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value)
}

func text(code uint8, value string) dhcpv4.Option { return option(code, []byte(value)...) }

func repeated(d time.Duration, n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

// lease is what a machine was given.
type lease struct {
	addr   netip.Addr
	server netip.Addr // next server
	file   string     // boot file, or ""
}

// errNoAnswer is the error of a client that gives up, as firmware does then: it
// goes to the next boot device.
var errNoAnswer = errors.New("no answer to DHCP until the client gave up")

// ask gets an address, as a client does: DISCOVER, OFFER, REQUEST, ACK. note is
// told how long each half took, and of each repetition.
func (c dhcpClient) ask(ctx context.Context, a *air, mac net.HardwareAddr, note *notes) (lease, error) {
	heard := a.listen(mac)
	defer a.leave(mac)
	xid, err := dhcpv4.GenerateTransactionID()
	if err != nil {
		return lease{}, err
	}
	began := time.Now()
	for try := 0; ; {
		offer, used, err := c.exchange(ctx, a, heard, c.discover(mac, xid, began), c.waits[min(try, len(c.waits)):], note, dhcpv4.MessageTypeOffer)
		if err != nil {
			return lease{}, fmt.Errorf("%s: %w", c.name, err)
		}
		note.took(c.name+": offer", time.Since(began))
		try += used
		asked := time.Now()
		ack, used, err := c.exchange(ctx, a, heard, c.request(mac, xid, began, offer), c.waits[min(try, len(c.waits)):], note, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak)
		if err != nil {
			return lease{}, fmt.Errorf("%s: %w", c.name, err)
		}
		try += used
		if ack.MessageType() == dhcpv4.MessageTypeNak {
			note.count(c.name + ": NAK")
			try++
			continue
		}
		note.took(c.name+": confirmed", time.Since(asked))
		return leaseOf(ack), nil
	}
}

// exchange sends a packet, and again after each wait, until an answer comes. It
// returns how often it had to be repeated.
func (c dhcpClient) exchange(ctx context.Context, a *air, heard <-chan *dhcpv4.DHCPv4, p *dhcpv4.DHCPv4, waits []time.Duration, note *notes, want ...dhcpv4.MessageType) (*dhcpv4.DHCPv4, int, error) {
	began := time.Now()
	for i, wait := range waits {
		if i > 0 {
			note.count(c.name + ": asked again")
			p.NumSeconds = c.secs + uint16(time.Since(began).Seconds())
		}
		if err := a.send(p.ClientHWAddr, p); err != nil {
			return nil, i, fmt.Errorf("send a DHCP packet: %w", err)
		}
		timer := time.NewTimer(wait)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil, i, ctx.Err()
			case <-timer.C:
				waiting = false
			case answer := <-heard:
				if answer.TransactionID != p.TransactionID {
					continue
				}
				for _, kind := range want {
					if answer.MessageType() == kind {
						timer.Stop()
						return answer, i, nil
					}
				}
			}
		}
	}
	return nil, len(waits), errNoAnswer
}

func (c dhcpClient) packet(mac net.HardwareAddr, xid dhcpv4.TransactionID, began time.Time, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	p, err := dhcpv4.New(dhcpv4.WithHwAddr(mac), dhcpv4.WithTransactionID(xid), dhcpv4.WithMessageType(kind), dhcpv4.WithBroadcast(c.broadcast))
	if err != nil {
		panic(err) // only making an ID can fail, and it is given
	}
	p.NumSeconds = c.secs + uint16(time.Since(began).Seconds())
	for _, o := range c.options {
		p.UpdateOption(o)
	}
	// The machine's UUID (RFC 4578, 2.3), made of its hardware address.
	p.UpdateOption(option(97, append([]byte{0, 'f', 'l', 'e', 'e', 't', 's', 'i', 'm', 0, 0}, mac...)...))
	p.UpdateOption(option(55, 1, 3, 6, 12, 15, 28, 43, 54, 60, 66, 67, 97))
	return p
}

func (c dhcpClient) discover(mac net.HardwareAddr, xid dhcpv4.TransactionID, began time.Time) *dhcpv4.DHCPv4 {
	return c.packet(mac, xid, began, dhcpv4.MessageTypeDiscover)
}

func (c dhcpClient) request(mac net.HardwareAddr, xid dhcpv4.TransactionID, began time.Time, offer *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	p := c.packet(mac, xid, began, dhcpv4.MessageTypeRequest)
	p.UpdateOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr))
	p.UpdateOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier()))
	return p
}

func leaseOf(ack *dhcpv4.DHCPv4) lease {
	l := lease{file: ack.BootFileName}
	l.addr, _ = netip.AddrFromSlice(ack.YourIPAddr.To4())
	for _, server := range []net.IP{ack.ServerIPAddr, ack.ServerIdentifier()} {
		if a, ok := netip.AddrFromSlice(server.To4()); ok && !a.IsUnspecified() && !l.server.IsValid() {
			l.server = a
		}
	}
	if l.file == "" {
		l.file = ack.BootFileNameOption()
	}
	return l
}
