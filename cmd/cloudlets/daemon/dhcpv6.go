//go:build linux

package daemon

import (
	"context"
	"net/netip"
	"slices"

	"cloudlets/dhcp"
	v6 "cloudlets/dhcp/v6"
	"cloudlets/provision/site/keys"
)

// listenDHCPv6 opens the sockets of DHCPv6, if there are networks of IPv6.
func (d *Daemon) listenDHCPv6(ctx context.Context) (*server, error) {
	config := &v6.Server{
		Booter: d.chain, Leases: d.leaseStore(), Observe: d.chain.SawExchange, Log: d.Log,
		Watch: d.watcher.Subscribe, MayWait: true, // findPlaces has seen that there is one of either protocol
	}
	all := slices.DeleteFunc(slices.Clone(d.Settings.Served()), func(n keys.Network) bool { return !n.IsIPv6() })
	behindRelays := slices.ContainsFunc(all, func(n keys.Network) bool { return n.Interface == "" })
	for _, n := range all {
		switch {
		case n.Interface == "":
			config.Relayed = append(config.Relayed, dhcpv6Network(n))
		case !n.DHCP.Off || behindRelays:
			config.Interfaces = append(config.Interfaces, v6.Interface{
				Name: n.Interface, TFTP: ipv6Only(serverAddr(netip.Addr{}, d.Settings.TFTP)), Network: dhcpv6Network(n),
			})
		}
	}
	if len(config.Interfaces) == 0 {
		return nil, nil
	}
	l, err := config.Listen(ctx)
	if err != nil {
		return nil, err
	}
	d.dhcpv6.Store(l)
	return &server{task{"serve DHCPv6", l.Serve}, l}, nil
}

// ipv6Only is an address of IPv6, or invalid for any other one.
func ipv6Only(a netip.Addr) netip.Addr {
	if a.Is6() {
		return a
	}
	return netip.Addr{}
}

func dhcpv6Network(n keys.Network) v6.Network {
	own := v6.Network{Name: n.Title(), Mode: dhcpMode(n), Subnet: n.Subnet}
	if own.Mode != dhcp.Pool {
		return own
	}
	own.DNS, own.NTP, own.Domain, own.LeaseTime = n.DNS, n.NTP, n.Domain, n.LeaseTime
	for _, r := range n.DHCP.Pool {
		own.Pool = append(own.Pool, dhcp.Range{First: r.First, Last: r.Last})
	}
	return own
}
