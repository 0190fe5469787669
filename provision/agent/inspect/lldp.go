package inspect

import (
	"context"
	"encoding/binary"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cloudlets/provision/hardware"
)

// listenTime is how long it takes until each switch has spoken: they do every 30 s
// (IEEE 802.1AB, 9.2.5.7).
const listenTime = 35 * time.Second

// neighbour is the switch at the other end of a cable, and its port.
type neighbour struct{ system, port string }

// listenLLDP listens on all network cards for what switches say of themselves, until ctx
// ends. heard returns what was heard so far, by the cards' names, and whether more may
// come soon.
func listenLLDP(ctx context.Context, log *slog.Logger) (heard func() (map[string]neighbour, bool)) {
	var mu sync.Mutex
	found := make(map[string]neighbour)
	until := time.Now().Add(listenTime)
	cards := 0
	links, err := netlink.LinkList()
	if err != nil {
		log.Warn("switches are not listened to", "error", err)
	}
	for _, l := range links {
		name := l.Attrs().Name
		if l.Type() != "device" || l.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		_ = netlink.LinkSetUp(l) // one that stays off hears nothing
		fd, err := openLLDP(l.Attrs().Index)
		if err != nil {
			log.Warn("a switch is not listened to", "interface", name, "error", err)
			continue
		}
		cards++
		context.AfterFunc(ctx, func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
		go func() {
			defer unix.Close(fd)
			frame := make([]byte, 2048)
			for ctx.Err() == nil {
				n, err := unix.Read(fd, frame)
				if err == unix.EINTR || err == unix.EAGAIN || err == unix.ENETDOWN {
					continue // EAGAIN is the end of the socket's timeout
				}
				if err != nil {
					return
				}
				system, port, ok := hardware.ParseLLDP(frame[:n])
				if ok {
					mu.Lock()
					found[name] = neighbour{system, port}
					mu.Unlock()
				}
			}
		}()
	}
	return func() (map[string]neighbour, bool) {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(found), len(found) < cards && time.Now().Before(until)
	}
}

// openLLDP opens a socket for the frames that switches send to their neighbours alone.
func openLLDP(index int) (fd int, err error) {
	const ethertype = 0x88cc
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, ethertype))
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return -1, err
	}
	group := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6, Address: [8]byte{0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e}}
	err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
