package uplink

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/images/pause"
	"cloudlets/provision"
)

// lease6 is an IPv6 address with the time for which it may be used.
type lease6 struct {
	server  dhcpv6.DUID
	address dhcpv6.OptIAAddress
	dns     []net.IP
	ntp     []net.IP
	t1, t2  time.Duration // as the server said; 0 leaves them to the client
	// since is when the request was sent. The times of the lease count from there.
	since time.Time
}

func (l lease6) ip() net.IP { return l.address.IPv6Addr }

// times implements lease. T1 and T2 are what the server says, or half and eight
// tenths of the lease, as RFC 8415, 14.2 recommends. The preferred lifetime does
// not matter to a machine with one address.
func (l lease6) times() (t1, t2, end time.Time) {
	whole := max(l.address.ValidLifetime, shortestLease)
	renew, rebind := l.t1, l.t2
	if renew <= 0 || renew >= rebind || rebind >= whole {
		renew, rebind = whole/2, whole/10*8
	}
	return l.since.Add(renew), l.since.Add(rebind), l.since.Add(whole)
}

// wire6 is the DHCPv6 client of an interface. It opens a socket for each exchange,
// as wire4 does.
type wire6 struct {
	name string
	duid dhcpv6.DUID
	iaid [4]byte
}

// newWire6 returns a client that a server takes for the machine's iPXE, so that it
// gives the same address: iPXE says the SMBIOS UUID (RFC 6355), and as IAID the
// CRC-32 of the MAC, with no bits inverted. A machine whose UUID is not its own says
// its MAC instead (RFC 8415, 11.4).
func newWire6(name string, mac net.HardwareAddr, uuid string) wire6 {
	w := wire6{name: name, duid: &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}}
	raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err == nil && provision.UUIDOf(uuid) != "" {
		w.duid = &dhcpv6.DUIDUUID{UUID: [16]byte(raw)}
	}
	binary.BigEndian.PutUint32(w.iaid[:], ^crc32.Update(^uint32(0), crc32.IEEETable, mac))
	return w
}

// open opens a socket on the interface's link-local address.
func (w wire6) open() (*nclient6.Client, error) {
	client, err := nclient6.New(w.name, nclient6.WithTimeout(answerTime), nclient6.WithRetry(attempts))
	if err != nil {
		return nil, fmt.Errorf("open a DHCPv6 socket on %s: %w", w.name, err)
	}
	return client, nil
}

// message makes a message of the client, with an address if there is one (RFC 8415,
// 18.2.1 to 18.2.8).
func (w wire6) message(kind dhcpv6.MessageType, server dhcpv6.DUID, address net.IP) (*dhcpv6.Message, error) {
	m, err := dhcpv6.NewMessage()
	if err != nil {
		return nil, fmt.Errorf("make a DHCPv6 message: %w", err)
	}
	m.MessageType = kind
	m.AddOption(dhcpv6.OptClientID(w.duid))
	if server != nil {
		m.AddOption(dhcpv6.OptServerID(server))
	}
	association := &dhcpv6.OptIANA{IaId: w.iaid}
	if address != nil {
		association.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: address})
	}
	m.AddOption(association)
	m.AddOption(dhcpv6.OptElapsedTime(0))
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionNTPServer))
	return m, nil
}

// errNoAddress means that a server answers, and has no address for the machine.
var errNoAddress = errors.New("the DHCPv6 server has no address for this machine: look at its pools, and at its log")

// exchange sends a message and waits for its answer. It returns the lease in that.
func (w wire6) exchange(ctx context.Context, client *nclient6.Client, m *dhcpv6.Message, want dhcpv6.MessageType) (lease6, error) {
	since := time.Now()
	answer, err := client.SendAndRead(ctx, nclient6.AllDHCPRelayAgentsAndServers, m, func(answer *dhcpv6.Message) bool {
		id := answer.Options.ClientID()
		return answer.MessageType == want && id != nil && id.Equal(w.duid) && answer.Options.ServerID() != nil
	})
	if err != nil {
		return lease6{}, fmt.Errorf("send a %s on %s: %w", m.MessageType, w.name, err)
	}
	return w.lease(answer, since)
}

// lease reads the first address of an answer that may be used. If there is none, it
// returns an error with what the server says about that.
func (w wire6) lease(answer *dhcpv6.Message, since time.Time) (lease6, error) {
	why := answer.Options.Status()
	for _, association := range answer.Options.IANA() {
		if association.IaId != w.iaid {
			continue
		}
		for _, a := range association.Options.Addresses() {
			if a.ValidLifetime > 0 && a.PreferredLifetime <= a.ValidLifetime && plainIP6(a.IPv6Addr) {
				return lease6{answer.Options.ServerID(), *a, answer.Options.DNS(), answer.Options.NTPServers(), association.T1, association.T2, since}, nil
			}
		}
		if s := association.Options.Status(); s != nil {
			why = s
		}
	}
	if why != nil && why.StatusCode != iana.StatusSuccess {
		return lease6{}, fmt.Errorf("%w (it says %s %.100q)", errNoAddress, why.StatusCode, why.StatusMessage)
	}
	return lease6{}, errNoAddress
}

// plainIP6 says whether a host can have an IPv6 address on a network.
func plainIP6(ip net.IP) bool {
	return len(ip) == net.IPv6len && ip.To4() == nil && ip.IsGlobalUnicast()
}

// request asks for an address until a DHCPv6 server gives one or ctx ends. Then it
// returns the error of the last attempt.
func (w wire6) request(ctx context.Context) (lease6, error) {
	client, err := w.open()
	if err != nil {
		return lease6{}, err
	}
	defer client.Close()
	for last := error(nil); ; {
		got, err := w.requestOnce(ctx, client)
		if err == nil {
			return got, nil
		}
		if ctx.Err() == nil || last == nil { // else it only says that ctx ended
			last = err
		}
		// Some failures return at once, so wait before asking again.
		if pause.For(ctx, time.Second) != nil {
			return lease6{}, last
		}
	}
}

// requestOnce asks all servers, and then the one that offers an address first.
func (w wire6) requestOnce(ctx context.Context, client *nclient6.Client) (lease6, error) {
	solicit, err := w.message(dhcpv6.MessageTypeSolicit, nil, nil)
	if err != nil {
		return lease6{}, err
	}
	offer, err := w.exchange(ctx, client, solicit, dhcpv6.MessageTypeAdvertise)
	if err != nil {
		return lease6{}, err
	}
	request, err := w.message(dhcpv6.MessageTypeRequest, offer.server, offer.ip())
	if err != nil {
		return lease6{}, err
	}
	return w.exchange(ctx, client, request, dhcpv6.MessageTypeReply)
}

// extend asks for more time: to renew, the server that gave the lease; to rebind,
// all servers (RFC 8415, 18.2.4 and 18.2.5). A server that takes the address away, or
// gives another one, refuses.
func (w wire6) extend(ctx context.Context, held lease6, rebind bool) (lease6, error) {
	client, err := w.open()
	if err != nil {
		return lease6{}, err
	}
	defer client.Close()
	kind, server := dhcpv6.MessageTypeRenew, held.server
	if rebind {
		kind, server = dhcpv6.MessageTypeRebind, nil
	}
	m, err := w.message(kind, server, held.ip())
	if err != nil {
		return lease6{}, err
	}
	next, err := w.exchange(ctx, client, m, dhcpv6.MessageTypeReply)
	switch {
	case errors.Is(err, errNoAddress), err == nil && !next.ip().Equal(held.ip()):
		return lease6{}, errRefused
	case err != nil:
		return lease6{}, fmt.Errorf("ask for more time for %s: %w", held.ip(), err)
	}
	return next, nil
}

// decline tells the server that another machine has the address that it gave (RFC
// 8415, 18.2.8).
func (w wire6) decline(ctx context.Context, l lease6) error {
	client, err := w.open()
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := w.message(dhcpv6.MessageTypeDecline, l.server, l.ip())
	if err != nil {
		return err
	}
	if _, err := w.exchange(ctx, client, m, dhcpv6.MessageTypeReply); err != nil && !errors.Is(err, errNoAddress) {
		return fmt.Errorf("decline %s: %w", l.ip(), err)
	}
	return nil
}
