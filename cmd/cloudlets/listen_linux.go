package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/provision/site"
)

// interfaceAddr is the server's address on the interface that it serves: the
// one in whose network the DHCP range lies, else the first.
func interfaceAddr(s site.Settings) (netip.Prefix, error) {
	iface, err := net.InterfaceByName(s.Interface)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("serve on interface %s: %w; there are %s", s.Interface, err, interfaceNames())
	}
	addrs, err := iface.Addrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("read the addresses of %s: %w", s.Interface, err)
	}
	var first netip.Prefix
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		if s.DHCP.First.IsValid() && prefix.Contains(s.DHCP.First) {
			return prefix, nil
		}
		if !first.IsValid() {
			first = prefix
		}
	}
	switch {
	case !first.IsValid():
		return first, fmt.Errorf("serve on interface %s: it has no IPv4 address; give it one: ip addr add 10.0.0.1/24 dev %[1]s", s.Interface)
	case s.DHCP.First.IsValid():
		return first, fmt.Errorf("serve on interface %s: the DHCP range %s is not in its network %s", s.Interface, s.DHCP, first.Masked())
	}
	return first, nil
}

func interfaceNames() string {
	all, _ := net.Interfaces()
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// baseURL is how machines reach the boot side. The port of HTTP is left out,
// since some firmware cannot parse it.
func baseURL(addr netip.Addr, listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if host == "" || host == "0.0.0.0" {
		host = addr.String()
	}
	if port == "80" {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, port)
}

// onInterface puts the server's own address where none was given, so that
// nothing listens on networks that it is not for.
func onInterface(own netip.Addr, listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "" || !own.IsValid() {
		return listen
	}
	return net.JoinHostPort(own.String(), port)
}

// listenSocket listens on a Unix socket that only the owner may open. One that
// a dead daemon left is replaced; a living one is an error.
func listenSocket(name string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	if conn, err := net.DialTimeout("unix", name, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen for the command line: a daemon answers on %s already; stop it, or give this one another --socket", name)
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
