//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/daemon/httpserver"
	"cloudlets/provision/cloudinit"
	"cloudlets/provision/site/keys"
)

// MetadataListen is where clouds have the metadata service.
var MetadataListen = netip.AddrPortFrom(cloudinit.MetadataAddr, 80).String()

// HasMetadata says whether a network has the metadata service at [MetadataListen].
func HasMetadata(s keys.Settings) bool {
	return slices.ContainsFunc(s.Served(), func(n keys.Network) bool { return n.Metadata })
}

// OpenMetadata opens the socket of the metadata service. This host need not have the
// address yet (ip(7), IP_FREEBIND).
func OpenMetadata(ctx context.Context) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1) })
		return errors.Join(err, set)
	}}
	l, err := config.Listen(ctx, "tcp4", MetadataListen)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("serve metadata: %w: something listens there already, or on port 80 of all addresses as \"http\": \"0.0.0.0:80\" does, and `cloudlets doctor` shows which process; end that, or take \"metadata\" out of cloudlets.json", err)
	}
	if err != nil {
		return nil, fmt.Errorf("serve metadata: %w", err)
	}
	return l, nil
}

// listenMetadata serves metadata, and nothing else, at [MetadataListen]. The socket is
// opened before an interface gets the address: who has the socket may have the address.
func (d *Daemon) listenMetadata(ctx context.Context) (*server, error) {
	if !HasMetadata(d.Settings) {
		return nil, nil
	}
	l, err := OpenMetadata(ctx)
	if err != nil {
		return nil, err
	}
	m := &metadata{l, &lentAddress{addr: cloudinit.MetadataAddr}}
	if err := m.addr.lend(d.metadataInterfaces()); err != nil {
		return nil, errors.Join(fmt.Errorf("serve metadata: %w", err), m.Close())
	}
	run := func(ctx context.Context) error {
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() error {
			return httpserver.Serve(ctx, d.limited(l, httpserver.Busy), httpserver.New(d.chain.Systems.Metadata(), d.Log), httpserver.ShutdownLimit, false)
		})
		both.Go(func() error { d.keepLending(ctx, m.addr); return nil })
		return errors.Join(both.Wait(), m.addr.Close())
	}
	return &server{task{"serve metadata", run}, m}, nil
}

// keepLending gives interfaces that come the address of the metadata service, until ctx
// ends.
func (d *Daemon) keepLending(ctx context.Context, addr *lentAddress) {
	said := ""
	d.places.changed.Each(ctx, func() {
		text := ""
		if err := addr.lend(d.metadataInterfaces()); err != nil {
			text = err.Error()
		}
		if text != "" && text != said {
			d.Log.Warn("metadata is not served on all its networks", "error", text)
		}
		said = text
	})
}

// metadataInterfaces are the interfaces that have the metadata service and are there now.
// What routers forward for networks behind relays comes in on any of them, and on the
// first served one if there are no others: Linux takes packets to each address of the
// host on each interface.
func (d *Daemon) metadataInterfaces() (names []string) {
	relayed, first := false, ""
	for _, p := range d.places.now() {
		relayed = relayed || p.Metadata && p.Interface == ""
		if !p.own.IsValid() {
			continue
		}
		if first == "" {
			first = p.Interface
		}
		if p.Metadata {
			names = append(names, p.Interface)
		}
	}
	if relayed && len(names) == 0 && first != "" {
		names = []string{first}
	}
	return names
}

// metadata is the service's socket and address.
type metadata struct {
	net.Listener
	addr *lentAddress
}

// Close implements [io.Closer].
func (m *metadata) Close() error { return errors.Join(m.Listener.Close(), m.addr.Close()) }
