package v4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/ifwatch"
	"cloudlets/dhcp/serving"
)

// system is what the server needs of the operating system. Tests replace it
// with one that has no network.
type system interface {
	// look returns an interface's index and IPv4 addresses.
	look(iface string) (linkState, error)
	// watch begins to watch the interfaces.
	watch() watcher
	// hostAddresses lists the IPv4 addresses of all interfaces.
	hostAddresses() ([]netip.Addr, error)
	// listen opens a UDP socket that hears one interface only.
	listen(ctx context.Context, iface string, port uint16) (udpSocket, error)
	// beside opens a socket for a port that another program has, to send from it and
	// to see what comes to it.
	beside(iface string, from netip.AddrPort) (udpSocket, error)
	// hardware opens a socket that sends to hardware addresses.
	hardware(iface string) (hardwareSender, error)
	// neighbours opens a socket that asks the stations of a network for addresses.
	neighbours(iface string) (neighbours, error)
	// prober opens a socket that finds the other DHCP servers of a network.
	prober(iface string) (prober, error)
	// pause waits for d, or for the end of ctx.
	pause(ctx context.Context, d time.Duration)
}

// watcher tells when interfaces may have changed, see [ifwatch.Watcher].
type watcher interface {
	Subscribe() (told <-chan struct{}, stop func())
	Run(ctx context.Context) error
	Close()
}

// udpSocket is a UDP socket that knows how a packet came.
type udpSocket interface {
	net.PacketConn
	// Receive waits for packets, and reads those that are there, as many as into has
	// room for.
	Receive(into []ether.Datagram) (n int, err error)
}

// hardwareSender sends UDP datagrams to stations that do not answer ARP yet.
type hardwareSender interface {
	SendTo(mac net.HardwareAddr, from, to netip.AddrPort, payload []byte) error
	Close() error
}

// neighbours finds out which stations of a network have addresses.
type neighbours interface {
	// Run receives answers until ctx ends.
	Run(ctx context.Context) error
	// Holders returns the stations that have some of these addresses, as far as they
	// say so within [ether.ARPTime]. It may be called by several goroutines
	// at once, while Run runs.
	Holders(ctx context.Context, addrs ...netip.Addr) (map[netip.Addr]dhcp.Station, error)
	Close() error
}

// prober finds the DHCP servers of a network.
type prober interface {
	// Probe is [ether.Probe] by the server with an ID, whose fellows do not answer it.
	Probe(ctx context.Context, self string) ([]ether.Found, error)
	Close() error
}

// linux is the real system.
type linux struct{}

var (
	_ system    = linux{}
	_ udpSocket = (*ether.Portless)(nil)
)

func (linux) look(iface string) (linkState, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return linkState{}, fmt.Errorf("find network interface %q (ip link lists them): %w", iface, err)
	}
	all, err := ifc.Addrs()
	if err != nil {
		return linkState{}, fmt.Errorf("list addresses of %s: %w", iface, err)
	}
	return linkState{ifc.Index, onlyIPv4(all)}, nil
}

func (linux) watch() watcher { return ifwatch.Open() }

func (linux) hostAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses of this host: %w", err)
	}
	var addrs []netip.Addr
	for _, p := range onlyIPv4(all) {
		addrs = append(addrs, p.Addr())
	}
	return addrs, nil
}

func onlyIPv4(all []net.Addr) (v4 []netip.Prefix) {
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			v4 = append(v4, p)
		}
	}
	return v4
}

// receiveBuffer is how many bytes of packets the kernel keeps for a socket while
// the server is busy, e.g. with a write of the lease store. The usual 208 KiB are
// some 150 packets: a rack that is switched on sends more in 20 ms.
const receiveBuffer = 4 << 20

// enlarge gives a socket its receiveBuffer. Beyond net.core.rmem_max that takes
// CAP_NET_ADMIN, and the kernel gives less without it.
func enlarge(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
}

// listen does not share the port (no SO_REUSEADDR): a second server on the
// same interface would silently take a part of the packets.
func (linux) listen(ctx context.Context, iface string, port uint16) (udpSocket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bindErr error
		err := c.Control(func(fd uintptr) {
			enlarge(int(fd))
			bindErr = errors.Join(
				unix.BindToDevice(int(fd), iface),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
		})
		if err != nil {
			return err
		}
		return bindErr
	}}
	conn, err := lc.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, fmt.Errorf("open UDP port %d (ss -lunp shows who has it; it takes root or CAP_NET_BIND_SERVICE and CAP_NET_RAW): %w", port, err)
	}
	return newLinuxSocket(conn.(*net.UDPConn)), nil
}

func (linux) beside(iface string, from netip.AddrPort) (udpSocket, error) {
	return ether.OpenPortless(iface, from)
}

// linuxSocket is a socket with IP_PKTINFO. One goroutine reads it.
type linuxSocket struct {
	*net.UDPConn
	packets  *ipv4.PacketConn // the same, which reads several packets by one system call
	messages []ipv4.Message
}

func newLinuxSocket(conn *net.UDPConn) *linuxSocket {
	s := &linuxSocket{UDPConn: conn, packets: ipv4.NewPacketConn(conn), messages: make([]ipv4.Message, maxReceived)}
	for i := range s.messages {
		s.messages[i].Buffers = [][]byte{make([]byte, serving.MaxPacket)}
		s.messages[i].OOB = make([]byte, 64)
	}
	return s
}

// Receive implements udpSocket.
func (s *linuxSocket) Receive(into []ether.Datagram) (n int, err error) {
	n, err = s.packets.ReadBatch(s.messages[:min(len(s.messages), len(into))], 0)
	if err != nil {
		return 0, err
	}
	for i, m := range s.messages[:n] {
		from := m.Addr.(*net.UDPAddr).AddrPort()
		into[i] = ether.Datagram{
			Data:    bytes.Clone(m.Buffers[0][:m.N]),
			From:    netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
			Unicast: isUnicast(m.OOB[:m.NN]),
		}
	}
	return n, nil
}

// isUnicast reads what IP_PKTINFO says of a packet (ip(7)): its destination is the
// local address that took it, unless it was a broadcast.
func isUnicast(control []byte) bool {
	header, info, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.IPPROTO_IP || header.Type != unix.IP_PKTINFO || len(info) < unix.SizeofInet4Pktinfo {
		return false
	}
	local, destination := info[4:8], info[8:12]
	return bytes.Equal(local, destination)
}

func (linux) hardware(iface string) (hardwareSender, error) {
	return ether.OpenFrames(iface, 0)
}

func (l linux) neighbours(iface string) (neighbours, error) {
	return ether.OpenARP(iface, l.pause)
}

func (linux) prober(iface string) (prober, error) { return ether.OpenProber(iface) }

func (linux) pause(ctx context.Context, d time.Duration) { serving.Pause(ctx, d) }
