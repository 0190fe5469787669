package advertise

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// maxMessage is more than the length of any message that is read, in bytes.
const maxMessage = 9216

// errNoAddress is why nothing can be sent where IPv6 is switched off.
var errNoAddress = errors.New("the interface has no link-local IPv6 address (sysctl net.ipv6.conf.INTERFACE.disable_ipv6 says whether IPv6 is off)")

// errChanged says that the interface has another address now, or is another one.
var errChanged = errors.New("the interface or its link-local IPv6 address changed")

// socket sends and receives neighbor discovery messages on an interface.
type socket struct {
	conn  *ndp.Conn
	iface *net.Interface
	addr  netip.Addr // our own, with its zone
}

// open opens a socket on the interface's link-local address.
func open(name string) (*socket, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("listen for router solicitations on %s: %w", name, err)
	}
	addr, err := ownAddress(iface)
	if err != nil {
		return nil, fmt.Errorf("listen for router solicitations on %s: %w", name, err)
	}
	conn, _, err := ndp.Listen(iface, ndp.LinkLocal)
	if err != nil {
		return nil, fmt.Errorf("listen for router solicitations on %s at %s: %w", name, addr, err)
	}
	s := &socket{conn: conn, iface: iface, addr: addr}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for router solicitations on %s at %s: %w", name, addr, err), conn.Close())
	}
	return s, nil
}

// ownAddress is the first link-local address of an interface, which is the one
// that [ndp.Listen] chooses.
func ownAddress(iface *net.Interface) (netip.Addr, error) {
	addrs, err := iface.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast() {
			return prefix.Addr().WithZone(iface.Name), nil
		}
	}
	return netip.Addr{}, errNoAddress
}

// prepare lets solicitations and advertisements through, and nothing else.
func (s *socket) prepare() error {
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterSolicitation)
	only.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return errors.Join(
		s.conn.SetICMPFilter(&only),
		s.conn.SetControlMessage(ipv6.FlagHopLimit, true),
		s.conn.JoinGroup(netip.IPv6LinkLocalAllRouters()),
		s.conn.JoinGroup(netip.IPv6LinkLocalAllNodes()),
	)
}

// same returns [errChanged] unless the interface still has the socket's address.
func (s *socket) same() error {
	now, err := net.InterfaceByName(s.iface.Name)
	if err != nil {
		return err
	}
	if addr, err := ownAddress(now); err != nil || addr != s.addr || now.Index != s.iface.Index {
		return errors.Join(errChanged, err)
	}
	return nil
}

// read reads what others send until the socket fails or is closed.
func (s *Server) read(sock *socket) error {
	buf := make([]byte, maxMessage)
	for {
		n, control, from, err := sock.conn.ReadRaw(buf)
		if err != nil {
			return fmt.Errorf("read router solicitations on %s: %w", s.iface, err)
		}
		if control != nil && from != sock.addr {
			s.received(buf[:n], control.HopLimit, from.WithZone(""))
		}
	}
}

// received handles a message. It ignores what RFC 4861, 6.1.1 and 6.1.2, wants
// ignored: what a router forwarded, and what comes from no link-local address.
func (s *Server) received(message []byte, hopLimit int, from netip.Addr) {
	defer func() { // what parses foreign bytes may cost one packet, and not the server
		if v := recover(); v != nil {
			s.log.Debug("a neighbor discovery message could not be handled", "from", from, "panic", v)
		}
	}()
	if hopLimit != ndp.HopLimit || !from.IsLinkLocalUnicast() || len(message) < 2 || message[1] != 0 {
		return
	}
	m, err := ndp.ParseMessage(message)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := m.(type) {
	case *ndp.RouterAdvertisement:
		s.network.advertised(from, m, time.Now())
	case *ndp.RouterSolicitation:
		known := ownMAC(m, from) && s.network.solicited(from, time.Now())
		if known {
			s.answer(from)
		}
		s.log.Debug("router solicitation", "from", from, "answered", known)
	}
}

// ownMAC says whether the MAC in a solicitation, if it has one, is that from which
// its sender's address follows.
func ownMAC(m *ndp.RouterSolicitation, from netip.Addr) bool {
	for _, o := range m.Options {
		if lla, ok := o.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Source {
			if addr, _ := linkLocal(lla.Addr); addr != from {
				return false
			}
		}
	}
	return true
}
