//go:build linux

package daemon

import (
	"context"
	"io"

	"cloudlets/dhcp"
	"cloudlets/dhcp/advertise"
)

// listenSolicitations makes the server that spares an iPXE its wait for a router.
// It opens its socket when it runs, and may run without one: machines then boot as
// they do without it, only later.
func (d *Daemon) listenSolicitations(context.Context) (*server, error) {
	if d.Settings.DHCP.Off || d.Settings.RouterAdvertisementOff {
		return nil, nil
	}
	d.advertiser = advertise.New(d.Settings.Interface, d.Log)
	return &server{task{"answer router solicitations", d.advertiser.Serve}, io.NopCloser(nil)}, nil
}

// sawExchange tells the boot chain and the advertiser of a DHCP exchange.
func (d *Daemon) sawExchange(x dhcp.Exchange) {
	d.chain.SawExchange(x)
	if d.advertiser != nil {
		d.advertiser.SawExchange(x)
	}
}
