//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// station is a hardware address as a map's key.
type station [6]byte

// air is the cable between the machines and the servers, as firmware sees it that
// has no address yet: one packet socket carries the DHCP of all machines, each with
// a hardware address of its own. From when a machine has its address, the kernel of
// this namespace answers for it.
type air struct {
	file  *os.File
	conn  interface{ Write([]byte) (int, error) }
	loss  float64 // part of the packets that are lost
	sent  atomic.Int64
	heard atomic.Int64

	mu      sync.Mutex
	clients map[station]chan *dhcpv4.DHCPv4
}

const (
	ethernetHeader = 14
	ipHeader       = 20
	udpHeader      = 8
	receiveBuffer  = 64 << 20
)

// onlyDHCP lets only UDP to port 68 through (as tcpdump -dd makes of "udp dst port
// 68"), since the socket sees everything that the machines are sent.
var onlyDHCP = []unix.SockFilter{
	{Code: 0x28, K: 12}, {Code: 0x15, Jf: 8, K: 0x800}, {Code: 0x30, K: 23}, {Code: 0x15, Jf: 6, K: unix.IPPROTO_UDP},
	{Code: 0x28, K: 20}, {Code: 0x45, Jt: 4, K: 0x1fff}, {Code: 0xb1, K: ethernetHeader}, {Code: 0x48, K: ethernetHeader + 2},
	{Code: 0x15, Jf: 1, K: 68}, {Code: 0x6, K: 0x40000}, {Code: 0x6, K: 0},
}

func openAir(iface string, loss float64) (*air, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(htons(unix.ETH_P_IP)))
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	filter := unix.SockFprog{Len: uint16(len(onlyDHCP)), Filter: &onlyDHCP[0]}
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: link.Index}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet socket on %s: %w", iface, err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "packet socket of "+iface)
	return &air{file: f, conn: f, loss: loss, clients: make(map[station]chan *dhcpv4.DHCPv4)}, nil
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

// listen returns the packets for a hardware address, until leave is called.
func (a *air) listen(mac net.HardwareAddr) <-chan *dhcpv4.DHCPv4 {
	c := make(chan *dhcpv4.DHCPv4, 8)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients[station(mac)] = c
	return c
}

func (a *air) leave(mac net.HardwareAddr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.clients, station(mac))
}

// lost says whether a packet is lost.
func (a *air) lost() bool { return a.loss > 0 && rand.Float64() < a.loss }

// run hands out packets until ctx ends.
func (a *air) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 4096)
	for {
		n, err := a.file.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read from the network: %w", err)
		}
		const least = ethernetHeader + ipHeader + udpHeader
		if n < least || a.lost() {
			continue
		}
		header := int(buf[ethernetHeader]&15) * 4
		p, err := dhcpv4.FromBytes(buf[ethernetHeader+header+udpHeader : n])
		if err != nil || len(p.ClientHWAddr) != 6 {
			continue
		}
		a.heard.Add(1)
		a.mu.Lock()
		c := a.clients[station(p.ClientHWAddr)]
		a.mu.Unlock()
		select {
		case c <- p:
		default: // nobody listens, or it has heard enough
		}
	}
}

// send broadcasts a DHCP packet of a machine.
func (a *air) send(mac net.HardwareAddr, p *dhcpv4.DHCPv4) error {
	a.sent.Add(1)
	if a.lost() {
		return nil
	}
	payload := p.ToBytes()
	b := make([]byte, ethernetHeader+ipHeader+udpHeader+len(payload))
	copy(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(b[6:], mac)
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[ethernetHeader:]
	ip[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	copy(ip[16:], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(ip[10:], checksum(ip[:ipHeader]))
	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp[0:], 68)
	binary.BigEndian.PutUint16(udp[2:], 67)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp))) // no checksum: RFC 768 allows that
	copy(udp[udpHeader:], payload)
	_, err := a.conn.Write(b)
	return err
}

// checksum is that of an IPv4 header (RFC 791).
func checksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
