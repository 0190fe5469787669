// Package ether has what DHCPv4 needs below UDP, on one Ethernet interface: datagrams to
// and from hardware addresses ([Frames]), a port that another program has ([Portless]),
// the question who has an address ([ARP]), and the search for other DHCP servers ([Prober]).
// Its sockets take root or CAP_NET_RAW.
//
// Standards: RFC 768, 791, 826, 1071, 5227.
package ether

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/dhcp/serving"
)

const (
	ipv4Header = 20
	udpHeader  = 8
	// maxDrained is how many packets are dropped at once.
	maxDrained = 1024
)

// Frames is a packet socket on one interface. It sends IPv4 datagrams to
// hardware addresses and receives from them, without the kernel's ARP and
// routes.
type Frames struct {
	file  *os.File
	index int
}

// OpenFrames opens a packet socket, which gets what is sent to a UDP port. With port 0
// it gets no packets, so that none pile up in it.
func OpenFrames(iface string, port uint16) (*Frames, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("find network interface %q (ip link lists them): %w", iface, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket on %s (it takes root or CAP_NET_RAW): %w", iface, err)
	}
	f := &Frames{os.NewFile(uintptr(fd), "packet socket of "+iface), ifc.Index}
	if port == 0 {
		return f, nil
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, portFilter(port)); err != nil {
		return nil, errors.Join(fmt.Errorf("filter the packet socket of %s: %w", iface, err), f.Close())
	}
	ip := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: ifc.Index}
	if err := unix.Bind(fd, ip); err != nil {
		return nil, errors.Join(fmt.Errorf("bind packet socket to %s: %w", iface, err), f.Close())
	}
	return f, nil
}

// portFilter lets through UDP datagrams for a port alone. Its program begins at
// the IPv4 header.
func portFilter(port uint16) *unix.SockFprog {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 5, K: unix.IPPROTO_UDP},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 6},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 3, K: 0x1fff}, // a later fragment
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},              // the header's length
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: uint32(port)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// Receive reads the next UDP datagram for a port, and where it came from and went to.
// Packets that are cut off are left out.
func (f *Frames) Receive(b []byte, port uint16) (n int, from netip.AddrPort, to netip.Addr, err error) {
	packet := make([]byte, serving.MaxPacket)
	for {
		size, err := f.file.Read(packet)
		if err != nil {
			return 0, from, to, err
		}
		if n, from, to, ok := takeDatagram(b, packet[:size], port); ok {
			return n, from, to, nil
		}
	}
}

// receiveNow is Receive if a datagram is there already. Anything else, errors too, is
// left to the next Receive.
func (f *Frames) receiveNow(b []byte, port uint16) (n int, from netip.AddrPort, to netip.Addr, ok bool) {
	conn, err := f.file.SyscallConn()
	if err != nil {
		return 0, from, to, false
	}
	packet := make([]byte, serving.MaxPacket)
	for range maxDrained {
		size := -1
		_ = conn.Control(func(fd uintptr) { // it fails if the socket is closed
			if got, err := unix.Read(int(fd), packet); err == nil {
				size = got
			}
		})
		if size < 0 {
			return 0, from, to, false
		}
		if n, from, to, ok = takeDatagram(b, packet[:size], port); ok {
			return n, from, to, true
		}
	}
	return 0, from, to, false
}

// takeDatagram copies the payload of an IPv4 packet if it is a whole UDP datagram for a
// port.
func takeDatagram(b, packet []byte, port uint16) (n int, from netip.AddrPort, to netip.Addr, ok bool) {
	payload, ok := udpPayload(packet, port)
	if !ok {
		return 0, from, to, false
	}
	source := packet[int(packet[0]&15)*4:]
	from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[12:16])), uint16(source[0])<<8|uint16(source[1]))
	return copy(b, payload), from, netip.AddrFrom4([4]byte(packet[16:20])), true
}

// SetReadDeadline ends reads at a time.
func (f *Frames) SetReadDeadline(t time.Time) error { return f.file.SetReadDeadline(t) }

// drain drops the packets that came before.
func (f *Frames) drain() {
	conn, err := f.file.SyscallConn()
	if err != nil {
		return // the socket is closed, which the next read says
	}
	buf := make([]byte, 1)
	_ = conn.Control(func(fd uintptr) {
		for range maxDrained {
			if _, err := unix.Read(int(fd), buf); err != nil {
				return
			}
		}
	})
}

// Close closes the socket.
func (f *Frames) Close() error { return f.file.Close() }

// SendTo sends a UDP datagram to one station.
func (f *Frames) SendTo(mac net.HardwareAddr, from, to netip.AddrPort, payload []byte) error {
	if len(mac) != 6 {
		return fmt.Errorf("send to hardware address %s: not an Ethernet address", mac)
	}
	conn, err := f.file.SyscallConn()
	if err != nil {
		return err
	}
	station := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: f.index, Halen: 6}
	copy(station.Addr[:], mac)
	packet := datagram(from, to, payload)
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), packet, 0, station)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	if err := errors.Join(err, sendErr); err != nil {
		return fmt.Errorf("send to %s at %s: %w", to, mac, err)
	}
	return nil
}

// datagram builds an IPv4 packet with a UDP datagram (RFC 791, RFC 768).
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	src, dst := from.Addr().As4(), to.Addr().As4()
	udpLen := udpHeader + len(payload)
	b := make([]byte, ipv4Header+udpLen)
	ip, udp := b[:ipv4Header], b[ipv4Header:]

	ip[0] = 4<<4 | ipv4Header/4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)))
	ip[8] = 64 // hops
	ip[9] = unix.IPPROTO_UDP
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], ^foldSum(addWords(0, ip)))

	binary.BigEndian.PutUint16(udp[0:], from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpLen))
	copy(udp[udpHeader:], payload)
	// The pseudo header: both addresses, the protocol, the length.
	pseudo := addWords(uint32(unix.IPPROTO_UDP)+uint32(udpLen), ip[12:])
	check := ^foldSum(addWords(pseudo, udp))
	if check == 0 {
		check = 0xffff // zero would say that there is no checksum
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return b
}

// udpPayload is the payload of an IPv4 packet if it is a whole UDP datagram for
// a port.
func udpPayload(b []byte, port uint16) ([]byte, bool) {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP {
		return nil, false
	}
	if fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff; fragment != 0 {
		return nil, false
	}
	header := int(b[0]&15) * 4
	if header < ipv4Header || len(b) < header+udpHeader {
		return nil, false
	}
	udp := b[header:]
	n := int(binary.BigEndian.Uint16(udp[4:]))
	if n < udpHeader || n > len(udp) || binary.BigEndian.Uint16(udp[2:]) != port {
		return nil, false
	}
	return udp[udpHeader:n], true
}

// addWords adds 16-bit words to a checksum (RFC 1071); a last odd byte counts as
// the upper half of a word.
func addWords(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

// foldSum adds the carries of a checksum (RFC 1071).
func foldSum(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// bigEndian converts a protocol number to network byte order, which the kernel
// expects in a link-layer address.
func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
