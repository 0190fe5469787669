package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"cloudlets/images/pause"
)

// lease4 is an IPv4 address with the time for which it may be used.
type lease4 struct {
	ack *dhcpv4.DHCPv4
	// since is when the request was sent. The times of the lease count from
	// there (RFC 2131, 4.4.1).
	since time.Time
}

func (l lease4) ip() net.IP { return l.ack.YourIPAddr }

// times returns when to renew the lease, when to rebind it, and when it ends. T1
// and T2 are what the server says, or half and seven eighths of the lease (RFC
// 2131, 4.4.5). A lease without a time never ends in practice.
func (l lease4) times() (t1, t2, end time.Time) {
	const forever = 100 * 365 * 24 * time.Hour
	whole := max(l.ack.IPAddressLeaseTime(forever), shortestLease)
	renew, rebind := l.ack.IPAddressRenewalTime(whole/2), l.ack.IPAddressRebindingTime(whole/8*7)
	if renew <= 0 || renew >= rebind || rebind >= whole {
		renew, rebind = whole/2, whole/8*7
	}
	return l.since.Add(renew), l.since.Add(rebind), l.since.Add(whole)
}

// The first waits for an answer, and how often each request is sent.
const (
	answerTime = 2 * time.Second
	attempts   = 2
)

// wire4 is the DHCPv4 client of an interface. It opens a socket for each exchange,
// since the agent is idle between them for minutes.
type wire4 struct {
	name string
	mac  net.HardwareAddr
}

// wanted asks for the options that configure reads. Classless static routes must
// stand before routers (RFC 3442).
var wanted = dhcpv4.WithOption(dhcpv4.OptParameterRequestList(
	dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter, dhcpv4.OptionInterfaceMTU,
	dhcpv4.OptionDomainName, dhcpv4.OptionNTPServers, dhcpv4.OptionDomainNameServer, dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
))

// request asks for an address until a DHCP server gives one or ctx ends.
func (w wire4) request(ctx context.Context) (lease4, error) {
	client, err := nclient4.New(w.name, nclient4.WithTimeout(answerTime), nclient4.WithRetry(attempts))
	if err != nil {
		return lease4{}, fmt.Errorf("open a DHCP socket on %s: %w", w.name, err)
	}
	defer client.Close()
	for {
		since := time.Now()
		got, err := client.Request(ctx, wanted)
		if err == nil {
			return lease4{got.ACK, since}, nil
		}
		// Some failures return at once, so wait before asking again.
		if pause.For(ctx, time.Second) != nil {
			return lease4{}, fmt.Errorf("no DHCP server gave %s an address: %w (%w)", w.name, context.Cause(ctx), err)
		}
	}
}

// errRefused means that a server does not let the machine keep its address.
var errRefused = errors.New("the DHCP server refused to extend its lease")

// extend asks for more time. To renew, it asks the server that gave the lease; to
// rebind, it asks all servers (RFC 2131, 4.3.2).
func (w wire4) extend(ctx context.Context, held lease4, rebind bool) (lease4, error) {
	client, to, err := w.dial(held, rebind)
	if err != nil {
		return lease4{}, fmt.Errorf("open a DHCP socket on %s: %w", w.name, err)
	}
	defer client.Close()
	request, err := dhcpv4.NewRenewFromAck(held.ack, wanted)
	if err != nil {
		return lease4{}, fmt.Errorf("ask for more time for %s: %w", held.ack.YourIPAddr, err)
	}
	matches := nclient4.IsMessageType(dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak)
	if !rebind {
		matches = nclient4.IsAll(matches, nclient4.IsCorrectServer(held.ack.ServerIdentifier()))
	}
	since := time.Now()
	answer, err := client.SendAndRead(ctx, to, request, matches)
	switch {
	case err != nil:
		return lease4{}, fmt.Errorf("ask %s for more time for %s: %w", to.IP, held.ack.YourIPAddr, err)
	case answer.MessageType() == dhcpv4.MessageTypeNak:
		return lease4{}, errRefused
	case !answer.YourIPAddr.Equal(held.ack.YourIPAddr):
		return lease4{}, fmt.Errorf("ask %s for more time for %s: it gave %s instead", to.IP, held.ack.YourIPAddr, answer.YourIPAddr)
	}
	return lease4{answer, since}, nil
}

// dial opens a socket to renew or rebind a lease, and says where to send the
// request. The server that gave the lease may be behind a relay, so that only an
// ordinary packet from the address reaches it. Everyone else gets a broadcast.
func (w wire4) dial(held lease4, rebind bool) (*nclient4.Client, *net.UDPAddr, error) {
	options := []nclient4.ClientOpt{nclient4.WithTimeout(answerTime), nclient4.WithRetry(attempts)}
	server := plainIP(held.ack.ServerIdentifier())
	if rebind || server == nil {
		client, err := nclient4.New(w.name, options...)
		return client, nclient4.DefaultServers, err
	}
	conn, err := newUnicast(w.name, held.ack.YourIPAddr)
	if err != nil {
		return nil, nil, err
	}
	client, err := nclient4.NewWithConn(conn, w.mac, options...)
	return client, &net.UDPAddr{IP: server, Port: nclient4.ServerPort}, err
}

// unicast sends ordinary packets and receives from the raw interface, since a
// server broadcasts its refusal (RFC 2131, 4.3.2).
type unicast struct {
	net.PacketConn
	out *net.UDPConn
}

func newUnicast(name string, from net.IP) (unicast, error) {
	out, err := net.ListenUDP("udp4", &net.UDPAddr{IP: from, Port: nclient4.ClientPort})
	if err != nil {
		return unicast{}, err
	}
	in, err := nclient4.NewRawUDPConn(name, nclient4.ClientPort)
	if err != nil {
		return unicast{}, errors.Join(err, out.Close())
	}
	return unicast{in, out}, nil
}

// WriteTo sends a packet from the address of the lease.
func (u unicast) WriteTo(p []byte, to net.Addr) (int, error) { return u.out.WriteTo(p, to) }

// Close closes both sockets.
func (u unicast) Close() error { return errors.Join(u.PacketConn.Close(), u.out.Close()) }
