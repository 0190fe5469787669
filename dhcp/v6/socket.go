package v6

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"cloudlets/dhcp/serving"
)

// The groups to which clients and relay agents send (RFC 8415, 7.1).
var (
	relaysAndServers = net.ParseIP("ff02::1:2")
	allServers       = net.ParseIP("ff05::1:3")
)

// listen opens a UDP port of an interface and joins the groups there.
func listen(ctx context.Context, iface *net.Interface, port uint16) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), iface.Name) })
		return errors.Join(err, bound)
	}}
	conn, err := config.ListenPacket(ctx, "udp6", net.JoinHostPort("::", strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("open UDP port %d on %s (`cloudlets doctor` shows which process has it): %w", port, iface.Name, err)
	}
	for _, group := range []net.IP{relaysAndServers, allServers} {
		if err := ipv6.NewPacketConn(conn).JoinGroup(iface, &net.UDPAddr{IP: group}); err != nil {
			return nil, errors.Join(fmt.Errorf("join the group %s on %s (is IPv6 off there?): %w", group, iface.Name, err), conn.Close())
		}
	}
	return conn.(*net.UDPConn), nil
}

// state is what the system says of an interface.
type state struct {
	iface *net.Interface
	own   netip.Addr // the server's own address in the network
}

// look finds an interface and the server's own address there. The error is a
// [serving.NotThere].
func look(name string, subnet netip.Prefix) (state, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return state{}, serving.NotThere(err)
	}
	addrs, err := iface.Addrs()
	if err != nil {
		return state{}, serving.NotThere(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && subnet.Contains(p.Addr()) {
			return state{iface, p.Addr()}, nil
		}
	}
	return state{}, serving.NotThere(fmt.Errorf("the interface has no address in %s: give it one, with ip addr add ADDRESS/%d dev %s", subnet, subnet.Bits(), name))
}
