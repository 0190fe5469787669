//go:build linux

package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ifwatch"
	v4 "cloudlets/dhcp/v4"
	"cloudlets/provision/cloudinit"
	"cloudlets/provision/site/keys"
)

// place is a network, and the server's own address there.
type place struct {
	keys.Network
	own netip.Prefix // invalid while its interface is not there, and behind relays
}

// places are the networks as they are served now.
type places struct {
	changed ifwatch.Signal // sent whenever the daemon has looked at the interfaces

	mu  sync.Mutex
	all []place
}

func (p *places) now() []place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

func (p *places) set(all []place) {
	p.mu.Lock()
	p.all = all
	p.mu.Unlock()
	p.changed.Send()
}

// addrs are the server's own addresses on the networks.
func (p *places) addrs() (all []netip.Addr) {
	for _, at := range p.now() {
		if at.own.IsValid() {
			all = append(all, at.own.Addr())
		}
	}
	return all
}

// first is the server's first address.
func (p *places) first() netip.Addr {
	for _, a := range p.addrs() {
		return a
	}
	return netip.Addr{}
}

// subnetOf is the subnet of the network on which the server has an address; invalid
// if there is none.
func (p *places) subnetOf(own netip.Addr) netip.Prefix {
	for _, at := range p.now() {
		if at.own.IsValid() && at.own.Addr() == own {
			return at.own.Masked()
		}
	}
	return netip.Prefix{}
}

// lookAround finds the addresses at which the networks are served now. The errors
// are those of interfaces that are not there.
func lookAround(networks []keys.Network) (all []place, absent []error) {
	for _, n := range networks {
		at := place{Network: n}
		if n.Interface != "" {
			var err error
			if at.own, err = InterfaceAddr(n); err != nil {
				absent = append(absent, err)
			}
		}
		all = append(all, at)
	}
	return all, absent
}

// findPlaces looks for the networks when the daemon begins. One interface must be
// there; the others are waited for.
func (d *Daemon) findPlaces() error {
	all, absent := lookAround(d.Settings.Served())
	d.places.set(all)
	if !d.places.first().IsValid() {
		return errors.Join(absent...)
	}
	for _, err := range absent {
		d.Log.Warn("a network is not served yet; it is as soon as that is possible", "reason", err)
	}
	return nil
}

// baseURL is the URL of HTTP boot for a machine that reaches the server at an
// address.
func (d *Daemon) baseURL(own netip.Addr) string {
	if !own.IsValid() {
		own = d.places.first()
	}
	return baseURL("http", own, d.Settings.HTTP)
}

// tftpAddr is the address of TFTP for such a machine.
func (d *Daemon) tftpAddr(own netip.Addr) netip.Addr {
	if !own.IsValid() {
		own = d.places.first()
	}
	return serverAddr(own, d.Settings.TFTP)
}

// isProxy says whether another server gives such a machine its address.
func (d *Daemon) isProxy(own netip.Addr) bool {
	for _, at := range d.places.now() {
		if at.own.IsValid() && (at.own.Addr() == own || !own.IsValid()) {
			return at.DHCP.Proxy
		}
	}
	return false
}

// ownAddr is the host of a listening address; invalid if it is no single address.
func ownAddr(listen string) netip.Addr {
	at, err := netip.ParseAddrPort(listen)
	if err != nil || at.Addr().IsUnspecified() {
		return netip.Addr{}
	}
	return at.Addr()
}

// dhcpIsOff says whether no network has DHCP.
func (d *Daemon) dhcpIsOff() bool {
	return !slices.ContainsFunc(d.Settings.Served(), func(n keys.Network) bool { return !n.DHCP.Off })
}

// dhcpNetworks describes the networks to the DHCP server. An interface on whose own
// network DHCP is off is served if relays may send packets to it.
func (d *Daemon) dhcpNetworks() (interfaces []v4.Interface, relayed []dhcp.Network) {
	all := slices.DeleteFunc(slices.Clone(d.Settings.Served()), keys.Network.IsIPv6)
	behindRelays := slices.ContainsFunc(all, func(n keys.Network) bool { return n.Interface == "" })
	for _, n := range all {
		switch {
		case n.Interface == "":
			relayed = append(relayed, dhcpNetwork(n))
		case !n.DHCP.Off || behindRelays:
			interfaces = append(interfaces, v4.Interface{
				Name: n.Interface, TFTP: serverAddr(netip.Addr{}, d.Settings.TFTP), Network: dhcpNetwork(n),
			})
		}
	}
	return interfaces, relayed
}

func dhcpMode(n keys.Network) dhcp.Mode {
	switch {
	case n.DHCP.Off:
		return dhcp.Off
	case n.DHCP.Proxy:
		return dhcp.Proxy
	}
	return dhcp.Pool
}

func dhcpNetwork(n keys.Network) dhcp.Network {
	own := dhcp.Network{Name: n.Title(), Subnet: n.Subnet, Mode: dhcpMode(n)}
	if n.Metadata {
		own.Services = []netip.Addr{cloudinit.MetadataAddr}
	}
	if own.Mode != dhcp.Pool {
		return own
	}
	own.Router, own.DNS, own.NTP, own.Domain, own.LeaseTime = n.Router, n.DNS, n.NTP, n.Domain, n.LeaseTime
	for _, r := range n.DHCP.Pool {
		own.Pool = append(own.Pool, dhcp.Range{First: r.First, Last: r.Last})
	}
	for _, o := range n.Options {
		own.Options = append(own.Options, dhcp.Option{Code: o.Code, Value: o.Value})
	}
	return own
}

// followInterfaces notes where the networks are served, while interfaces come and
// go, until ctx ends.
func (d *Daemon) followInterfaces(ctx context.Context) error {
	d.watcher.Each(ctx, func() {
		all, _ := lookAround(d.Settings.Served())
		for i, was := range d.places.now() {
			if was.own != all[i].own {
				d.Log.Info("an interface has changed", "network", was.Title(), "interface", was.Interface, "before", was.own, "now", all[i].own)
			}
		}
		d.places.set(all)
	})
	return nil
}
