package ether

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

const (
	// arpProbes is how many times an address is asked for, in case that a packet is
	// lost, and arpWait how long each time waits for an answer. RFC 5227, section
	// 2.1.1, has a host wait seconds; its own probe still follows, so a short one will do.
	arpProbes = 2
	arpWait   = 125 * time.Millisecond
	// ARPTime is how long a question takes at the most.
	ARPTime = arpProbes * arpWait
	// arpSize is the length in bytes of an ARP packet for IPv4 on Ethernet (RFC 826),
	// and arpTarget where in it the address stands that is asked for.
	arpSize, arpTarget = 28, 24
)

// ARP is a packet socket for ARP on one interface. The kernel's own table of
// neighbours is not used: it holds few, and is not asked for hundreds at once.
type ARP struct {
	file  *os.File
	own   net.HardwareAddr
	index int
	pause func(context.Context, time.Duration)

	mu    sync.Mutex
	asked map[netip.Addr][]*arpQuestion
}

// arpQuestion is one call of holders that waits.
type arpQuestion struct {
	holders  map[netip.Addr]dhcp.Station
	silent   int // addresses that no station has answered for
	answered context.CancelFunc
}

// OpenARP opens a socket for an Ethernet interface. It takes root or CAP_NET_RAW. pause
// waits for a time, or for the end of its context.
func OpenARP(iface string, pause func(context.Context, time.Duration)) (*ARP, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("find network interface %q (ip link lists them): %w", iface, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket for ARP on %s (it takes root or CAP_NET_RAW): %w", iface, err)
	}
	a := &ARP{
		file: os.NewFile(uintptr(fd), "ARP socket of "+iface), own: ifc.HardwareAddr, index: ifc.Index,
		pause: pause, asked: map[netip.Addr][]*arpQuestion{},
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: ifc.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind packet socket for ARP to %s: %w", iface, err), a.Close())
	}
	return a, nil
}

// Close closes the socket.
func (a *ARP) Close() error { return a.file.Close() }

// Run receives answers until ctx ends.
func (a *ARP) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = a.file.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, serving.MaxPacket)
	err := serving.Read(ctx, a.pause, func() error {
		n, err := a.file.Read(buf)
		if err == nil {
			a.hear(buf[:n])
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read ARP packets: %w", err)
	}
	return nil
}

// hear takes note of who sent an ARP packet: whoever sends one from an address has it,
// whether it is an answer or not (RFC 5227, 2.1.1).
func (a *ARP) hear(packet []byte) {
	holder, addr, ok := arpSender(packet)
	if !ok || bytes.Equal(holder[:], a.own) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.asked[addr] {
		if _, before := q.holders[addr]; !before {
			q.silent--
		}
		if q.holders[addr] = holder; q.silent == 0 {
			q.answered()
		}
	}
}

// Holders returns the stations that have some of these addresses, as far as they say so
// within ARPTime. It may be called by several goroutines at once, while Run runs.
func (a *ARP) Holders(ctx context.Context, addrs ...netip.Addr) (map[netip.Addr]dhcp.Station, error) {
	if len(a.own) != 6 {
		return nil, errors.New("ask who has an address: the interface is no Ethernet interface")
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	q := &arpQuestion{holders: map[netip.Addr]dhcp.Station{}, silent: len(addrs), answered: cancel}
	a.note(addrs, q)
	defer a.forget(addrs, q)
	for n := 0; n < arpProbes && waiting.Err() == nil; n++ {
		if err := a.ask(a.unanswered(addrs, q)); err != nil {
			return nil, err
		}
		a.pause(waiting, arpWait)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(q.holders), nil // answers may still come
}

func (a *ARP) note(addrs []netip.Addr, q *arpQuestion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		a.asked[addr] = append(a.asked[addr], q)
	}
}

func (a *ARP) forget(addrs []netip.Addr, q *arpQuestion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		rest := slices.DeleteFunc(a.asked[addr], func(other *arpQuestion) bool { return other == q })
		if a.asked[addr] = rest; len(rest) == 0 {
			delete(a.asked, addr)
		}
	}
}

// unanswered lists the addresses that no station has answered for.
func (a *ARP) unanswered(addrs []netip.Addr, q *arpQuestion) (list []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, addr := range addrs {
		if _, found := q.holders[addr]; !found {
			list = append(list, addr)
		}
	}
	return list
}

// ask sends an ARP probe for each address to all stations.
func (a *ARP) ask(addrs []netip.Addr) error {
	conn, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: a.index, Halen: 6}
	copy(to.Addr[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	packet := arpProbe(a.own)
	var sent int
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		for ; sent < len(addrs); sent++ {
			target := addrs[sent].As4()
			copy(packet[arpTarget:], target[:])
			if sendErr = unix.Sendto(int(fd), packet, 0, to); sendErr != nil {
				return !errors.Is(sendErr, unix.EAGAIN)
			}
		}
		return true
	})
	if err := errors.Join(err, sendErr); err != nil {
		return fmt.Errorf("ask who has %s: %w", addrs[min(sent, len(addrs)-1)], err)
	}
	return nil
}

// arpProbe is an ARP request from no address, so that no station's table of
// neighbours changes by it (RFC 5227, 1.1). The address that it asks for is still to
// be put in, at arpTarget.
func arpProbe(own net.HardwareAddr) []byte {
	b := make([]byte, 0, arpSize)
	b = binary.BigEndian.AppendUint16(b, unix.ARPHRD_ETHER)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, 1) // request
	b = append(b, own...)
	return b[:arpSize]
}

// arpSender is the station that sent an ARP packet, and the address that it has.
func arpSender(b []byte) (mac dhcp.Station, addr netip.Addr, ok bool) {
	if len(b) < arpSize || !bytes.Equal(b[:6], []byte{0, unix.ARPHRD_ETHER, 8, 0, 6, 4}) {
		return mac, addr, false
	}
	return dhcp.Station(b[8:14]), netip.AddrFrom4([4]byte(b[14:18])), true
}
