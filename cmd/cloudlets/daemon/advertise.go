//go:build linux

package daemon

import (
	"context"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/dhcp/advertise"
	"cloudlets/provision/site/keys"
)

// listenSolicitations makes the servers that spare an iPXE its wait for a router, one
// for each interface. They open their sockets when they run, and may run without:
// machines then boot as they do without them, only later. An interface with a network of
// IPv6 has a router of its own.
func (d *Daemon) listenSolicitations(context.Context) (*server, error) {
	if d.Settings.RouterAdvertisementOff {
		return nil, nil
	}
	for _, n := range d.Settings.Served() {
		if n.Interface != "" && !n.DHCP.Off && !n.IsIPv6() && !d.hasIPv6(n.Interface) {
			d.advertisers = append(d.advertisers, advertise.New(n.Interface, d.Log))
		}
	}
	if d.advertisers == nil {
		return nil, nil
	}
	return &server{task{"answer router solicitations", d.advertise}, io.NopCloser(nil)}, nil
}

// hasIPv6 says whether a network of IPv6 is on an interface.
func (d *Daemon) hasIPv6(iface string) bool {
	return slices.ContainsFunc(d.Settings.Served(), func(n keys.Network) bool { return n.Interface == iface && n.IsIPv6() })
}

func (d *Daemon) advertise(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, a := range d.advertisers {
		all.Go(func() error { return a.Serve(ctx) })
	}
	return all.Wait()
}

// sawExchange tells the boot chain and the advertisers of a DHCP exchange.
func (d *Daemon) sawExchange(x dhcp.Exchange) {
	d.chain.SawExchange(x)
	for _, a := range d.advertisers {
		a.SawExchange(x)
	}
}
