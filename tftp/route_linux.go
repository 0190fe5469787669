package tftp

import (
	"net"

	"golang.org/x/sys/unix"
)

// pathMTU is the kernel's knowledge of a connected socket's path, with what
// ICMP has taught it and what a route says ("mtu 1400"), in bytes.
func pathMTU(conn *net.UDPConn, v6 bool) (int, error) {
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var mtu int
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		mtu, sockErr = unix.GetsockoptInt(int(fd), level, option)
	})
	if err != nil {
		return 0, err
	}
	return mtu, sockErr
}
