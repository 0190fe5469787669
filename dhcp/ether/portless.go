package ether

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/dhcp/serving"
)

// Datagram is a UDP packet as it came from the network.
type Datagram struct {
	Data []byte
	From netip.AddrPort
	// Unicast says that it was sent to this host alone.
	Unicast bool
}

// Portless is a UDP socket for a port that another program of this host has, as a DHCP
// server has port 67 beside which this one is a proxy. It sees the packets on their
// way, and the other program gets them all the same.
type Portless struct {
	net.PacketConn // nil: only the methods below are there
	in             *Frames
	out            *os.File // a raw IPv4 socket, so that the kernel finds the way
	from           netip.AddrPort
}

// OpenPortless opens a socket for an address and port of an interface. It takes root or
// CAP_NET_RAW.
func OpenPortless(iface string, from netip.AddrPort) (*Portless, error) {
	in, err := OpenFrames(iface, from.Port())
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open raw socket on %s (it takes root or CAP_NET_RAW): %w", iface, err), in.Close())
	}
	s := &Portless{in: in, out: os.NewFile(uintptr(fd), "raw socket of "+iface), from: from}
	err = errors.Join(unix.BindToDevice(fd, iface), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up raw socket on %s: %w", iface, err), s.Close())
	}
	return s, nil
}

// Receive waits for packets, and reads those that are there, as many as into has room
// for.
func (s *Portless) Receive(into []Datagram) (n int, err error) {
	if len(into) == 0 {
		return 0, nil
	}
	b := make([]byte, serving.MaxPacket)
	size, from, to, err := s.in.Receive(b, s.from.Port())
	for {
		if err != nil {
			return 0, err
		}
		into[n] = Datagram{Data: bytes.Clone(b[:size]), From: from, Unicast: to == s.from.Addr()}
		if n++; n == len(into) {
			return n, nil
		}
		var there bool
		if size, from, to, there = s.in.receiveNow(b, s.from.Port()); !there {
			return n, nil
		}
	}
}

// WriteTo sends from the port as if it were this program's: iPXE takes no answer from
// another one.
func (s *Portless) WriteTo(b []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok || addr.IP.To4() == nil {
		return 0, fmt.Errorf("send to %v: want an IPv4 address and a UDP port", to)
	}
	conn, err := s.out.SyscallConn()
	if err != nil {
		return 0, err
	}
	target := netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr.IP.To4())), uint16(addr.Port))
	packet := datagram(s.from, target, b)
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), packet, 0, &unix.SockaddrInet4{Addr: target.Addr().As4()})
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	if err := errors.Join(err, sendErr); err != nil {
		return 0, fmt.Errorf("send to %s: %w", target, err)
	}
	return len(b), nil
}

// SetReadDeadline ends reads at a time.
func (s *Portless) SetReadDeadline(t time.Time) error { return s.in.SetReadDeadline(t) }

// Close closes the sockets.
func (s *Portless) Close() error { return errors.Join(s.in.Close(), s.out.Close()) }
