package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
)

// NewPinned returns a client, as [NewOf] does, that asks nobody for the servers' names after
// this, and the addresses of the servers. It is for a process that outlives the file that says
// whom to ask. A server whose name is not known is left out; it is an error if all are.
func NewPinned(ctx context.Context, bases []string, trust *x509.Certificate, log *slog.Logger) (*Client, []netip.Addr, error) {
	transport := newTransport(trust)
	dial, addresses, err := pinned(ctx, bases, transport.next.DialContext)
	if err != nil {
		return nil, nil, err
	}
	transport.next.DialContext = dial
	c, err := NewBy(transport, bases, log)
	return c, addresses, err
}

// pinned returns the addresses of some servers, and a way to reach them without asking for
// their names again: the file that says whom to ask is soon gone.
func pinned(ctx context.Context, servers []string, dial dialer) (dialer, []netip.Addr, error) {
	hosts := map[string][]netip.Addr{}
	var all []netip.Addr
	var failed []error
	for _, server := range servers {
		u, err := url.Parse(server)
		if err != nil {
			return nil, nil, fmt.Errorf("read the address of a server: %w", err)
		}
		addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
		if err != nil {
			failed = append(failed, fmt.Errorf("find the address of the server %s: %w", u.Hostname(), err))
			continue
		}
		for i := range addresses {
			addresses[i] = addresses[i].Unmap()
		}
		hosts[u.Hostname()] = addresses
		all = append(all, addresses...)
	}
	if len(all) == 0 {
		return nil, nil, errors.Join(failed...)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		err = fmt.Errorf("the address of %s is not known", host)
		for _, at := range hosts[host] {
			var conn net.Conn
			if conn, err = dial(ctx, network, net.JoinHostPort(at.String(), port)); err == nil {
				return conn, nil
			}
		}
		return nil, err
	}, all, nil
}

// dialer makes connections, as net.Dialer's DialContext.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)
