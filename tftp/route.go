package tftp

import (
	"fmt"
	"net"
	"net/netip"
)

// What goes before a block in a packet, in bytes: IP, UDP and TFTP headers.
const (
	overhead4 = 20 + 8 + headerLen
	overhead6 = 40 + 8 + headerLen
)

// route is the way that datagrams to a client take.
type route struct {
	source netip.Addr // the address that the route gives them
	mtu    int        // bytes
}

// findRoute asks the kernel for the route to a client. Nothing is sent.
func findRoute(remote netip.AddrPort) (route, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return route{}, fmt.Errorf("find the route to %v: %w", remote, err)
	}
	defer conn.Close()
	source := addrPortOf(conn.LocalAddr()).Addr()
	mtu, err := pathMTU(conn, remote.Addr().Is6())
	if err != nil {
		return route{}, fmt.Errorf("find the MTU of the path to %v: %w", remote, err)
	}
	return route{source: source, mtu: mtu}, nil
}

// blockSize is the largest block that needs no fragments on the path, but not
// below what every client takes.
func (r route) blockSize() int {
	overhead := overhead4
	if r.source.Is6() {
		overhead = overhead6
	}
	return min(max(r.mtu-overhead, defaultBlockSize), maxBlockSize)
}

// addrPortOf is an address in the one form that is used to compare and to
// report, or the zero value if it is none of UDP's.
func addrPortOf(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
