//go:build linux

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cloudlets/provision/cloudinit"
	"cloudlets/provision/site/keys"
)

// InterfaceAddr is the server's address on the interface of a network: the first
// one that is in its subnet, or whose subnet has the DHCP range.
func InterfaceAddr(n keys.Network) (netip.Prefix, error) {
	iface, err := net.InterfaceByName(n.Interface)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("serve on interface %s: %w; there are %s", n.Interface, err, interfaceNames())
	}
	addrs, err := iface.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("read the addresses of %s: %w", n.Interface, err)
	}
	var first netip.Prefix
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil || prefix.Addr() == cloudinit.MetadataAddr || prefix.Addr().Is6() != n.IsIPv6() || prefix.Addr().IsLinkLocalUnicast() && n.IsIPv6():
			continue
		case n.Subnet.IsValid() && n.Subnet.Contains(prefix.Addr()):
			return prefix, nil
		case !n.Subnet.IsValid() && (len(n.DHCP.Pool) == 0 || prefix.Contains(n.DHCP.Pool[0].First)):
			return prefix, nil
		case !first.IsValid():
			first = prefix
		}
	}
	switch {
	case !first.IsValid() && n.IsIPv6():
		return first, fmt.Errorf("serve on interface %s: it has no IPv6 address in %s, the subnet of the network %s; give it one: ip addr add ADDRESS/%d dev %[1]s", n.Interface, n.Subnet, n.Title(), n.Subnet.Bits())
	case !first.IsValid():
		return first, fmt.Errorf("serve on interface %s: it has no IPv4 address; give it one: ip addr add 10.0.0.1/24 dev %[1]s", n.Interface)
	case n.Subnet.IsValid():
		return netip.Prefix{}, fmt.Errorf("serve on interface %s: it has %s and no address in %s, the subnet of the network %s; give it one: ip addr add ADDRESS/%d dev %[1]s", n.Interface, first, n.Subnet, n.Title(), n.Subnet.Bits())
	}
	return netip.Prefix{}, fmt.Errorf("serve on interface %s: the DHCP range %s is not in its network %s", n.Interface, n.DHCP, first.Masked())
}

func interfaceNames() string {
	all, _ := net.Interfaces()
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// defaultPorts are those that a URL leaves out, since some firmware cannot parse one
// with a port.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// baseURL is the URL of HTTP boot by a scheme, "http" or "https".
func baseURL(scheme string, addr netip.Addr, listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = addr.String()
	}
	url := scheme + "://" + net.JoinHostPort(host, port)
	if port == defaultPorts[scheme] {
		url = strings.TrimSuffix(url, ":"+port)
	}
	return url
}

// OnInterface adds the server's own address to a listening address without a
// host, so that nothing listens on other networks. The wildcard of IPv4 says nothing
// about IPv6.
func OnInterface(own netip.Addr, listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" && !(host == "0.0.0.0" && own.Is6()) || !own.IsValid() {
		return listen
	}
	return net.JoinHostPort(own.String(), port)
}

// FamilyOf is the network to listen on at an address: "udp4" or "udp6" for "udp".
func FamilyOf(network, at string) string {
	if ap, err := netip.ParseAddrPort(at); err == nil && ap.Addr().Is6() {
		return network + "6"
	}
	return network + "4"
}

// serverAddr is the address at which machines reach a server that listens on
// listen: the host in listen, or else the server's own address.
func serverAddr(own netip.Addr, listen string) netip.Addr {
	host, _, _ := net.SplitHostPort(listen)
	if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
		return addr
	}
	return own
}

// listenSocket listens on a Unix socket that only its owner may open. It
// replaces a socket that a daemon left when it died, and nothing else.
func listenSocket(name string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	if err := removeDeadSocket(name); err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the command line: %w", err), l.Close())
	}
	return l, nil
}

// removeDeadSocket removes a Unix socket on which no process listens. Anything
// else at its place is an error.
func removeDeadSocket(name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already and is not a socket: give another name with --socket", name)
	}
	conn, err := net.DialTimeout("unix", name, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("a daemon answers on %s already; stop it, or give this one another --socket", name)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("find out whether a daemon answers on %s: %w", name, err)
	}
	return os.Remove(name)
}
