//go:build linux

package daemon

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/dhcp/advertise"
)

// listenSolicitations makes the servers that spare an iPXE its wait for a router, one
// for each interface. They open their sockets when they run, and may run without:
// machines then boot as they do without them, only later.
func (d *Daemon) listenSolicitations(context.Context) (*server, error) {
	if d.Settings.RouterAdvertisementOff {
		return nil, nil
	}
	for _, n := range d.Settings.Served() {
		if n.Interface != "" && !n.DHCP.Off {
			d.advertisers = append(d.advertisers, advertise.New(n.Interface, d.Log))
		}
	}
	if d.advertisers == nil {
		return nil, nil
	}
	return &server{task{"answer router solicitations", d.advertise}, io.NopCloser(nil)}, nil
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
