// Package uplink brings up the interface that a machine booted from, and keeps
// its IPv4 address. It finds the interface by its MAC, waits for its carrier,
// gets a lease by DHCP, and renews the lease until the machine is handed over.
// Start reading at [Up].
package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/vishvananda/netlink"

	"cloudlets/provision"
)

// Timeout bounds the search for the interface and its first address. A switch
// port with spanning tree is silent for 30 seconds.
const Timeout = 3 * time.Minute

// Options say which interface to bring up.
type Options struct {
	// MAC is the interface's hardware address.
	MAC provision.MAC
	// Servers are the base URLs that the machine must reach. A route that cannot
	// be added is an error, unless one of them can be reached without it.
	Servers []string
	// LoadDrivers loads the drivers of devices that appeared, and returns their
	// number.
	LoadDrivers func(context.Context) (int, error)
	Log         *slog.Logger
}

// Link is an interface with an address. A goroutine renews the lease of the
// address until Down is called.
type Link struct {
	Name string
	// Address is the first address, with its prefix length.
	Address string

	link netlink.Link
	mtu  int // before Up changed it
	stop context.CancelFunc
	done chan struct{}
}

// Up finds the interface, waits for its carrier, and configures it by DHCP. It
// fails if that takes longer than [Timeout]. The address is kept until ctx ends
// or Down is called.
func Up(ctx context.Context, o Options) (*Link, error) {
	limited, stop := context.WithTimeout(ctx, Timeout)
	defer stop()
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	found, err := waitForLink(limited, o)
	if err != nil {
		return nil, err
	}
	return start(ctx, limited, found, o)
}

// start configures the interface within the time of limited, and keeps its
// address until ctx ends.
func start(ctx, limited context.Context, found netlink.Link, o Options) (*Link, error) {
	name := found.Attrs().Name
	if err := netlink.LinkSetUp(found); err != nil {
		return nil, fmt.Errorf("switch %s on: %w", name, err)
	}
	if err := waitForCarrier(limited, name); err != nil {
		return nil, err
	}
	o.Log.Info("asking for an address", "interface", name)
	client := wire{name: name, mac: found.Attrs().HardwareAddr}
	first, err := client.request(limited)
	if err != nil {
		return nil, err
	}
	host := host{link: found, servers: o.Servers, log: o.Log}
	address, err := host.configure(first.ack)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	l := &Link{Name: name, Address: address, link: found, mtu: found.Attrs().MTU, done: make(chan struct{})}
	ctx, l.stop = context.WithCancel(ctx)
	keeper := keeper{name: name, client: client, host: host, log: o.Log}
	go func() {
		defer close(l.done)
		keeper.keep(ctx, first)
	}()
	return l, nil
}

// Down stops renewing the lease, removes the interface's IPv4 addresses and
// switches the interface off, as the new system expects to find it. The lease is
// not released, since the new system asks for the same address at once.
func (l *Link) Down() {
	l.stop()
	<-l.done
	removeAddresses(l.link)
	_ = netlink.LinkSetDown(l.link)
	_ = netlink.LinkSetMTU(l.link, l.mtu)
}

// removeAddresses removes the IPv4 addresses of an interface, and with them the
// routes by it.
func removeAddresses(l netlink.Link) {
	addresses, _ := netlink.AddrList(l, netlink.FAMILY_V4)
	for _, address := range addresses {
		_ = netlink.AddrDel(l, &address)
	}
	routes, _ := netlink.RouteList(l, netlink.FAMILY_V4)
	for _, route := range routes {
		_ = netlink.RouteDel(&route)
	}
}

// plainIP returns an IPv4 address of four bytes, or nil for anything else.
func plainIP(ip net.IP) net.IP {
	if four := ip.To4(); four != nil && !four.IsUnspecified() && !four.IsMulticast() && !four.Equal(net.IPv4bcast) {
		return four
	}
	return nil
}
