package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
)

// smallestMTU is the least that every host must take in one piece (RFC 791, 3.1).
// A server that says less is mistaken.
const smallestMTU = 576

// settings are what a lease says about the interface.
type settings struct {
	address *net.IPNet
	routes  []route
	mtu     int // bytes; 0 if the lease says nothing of use
}

// route leads to a network. Its gateway is nil for a network that is on the link.
type route struct {
	to      *net.IPNet
	gateway net.IP
	onLink  bool // the gateway is on the link, though outside of the address's network
}

// everywhere is the destination of a default route.
func everywhere() *net.IPNet {
	return &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
}

// read reads the settings of a lease. Classless static routes count instead of
// routers, and not beside them (RFC 3442).
func read(ack *dhcpv4.DHCPv4) (settings, error) {
	ip := plainIP(ack.YourIPAddr)
	if ip == nil {
		return settings{}, fmt.Errorf("the DHCP server gave the address %s, which no host can have", ack.YourIPAddr)
	}
	mask := ack.SubnetMask()
	if ones, bits := mask.Size(); bits != 32 || ones == 0 {
		mask = ip.DefaultMask()
	}
	s := settings{address: &net.IPNet{IP: ip, Mask: mask}}
	for _, r := range ack.ClasslessStaticRoute() {
		s.routes = append(s.routes, s.route(r.Dest, r.Router))
	}
	if routers := ack.Router(); len(s.routes) == 0 && len(routers) > 0 {
		// The routers come in order of preference (RFC 2132, 3.5).
		s.routes = append(s.routes, s.route(everywhere(), routers[0]))
	}
	// What is on the link comes first, since it may lead to the gateways.
	slices.SortStableFunc(s.routes, func(a, b route) int { return min(len(a.gateway), 1) - min(len(b.gateway), 1) })
	if mtu := ack.Options.Get(dhcpv4.OptionInterfaceMTU); len(mtu) == 2 {
		if n := int(binary.BigEndian.Uint16(mtu)); n >= smallestMTU {
			s.mtu = n
		}
	}
	return s, nil
}

// route returns a route by a gateway. The gateway 0.0.0.0 means that the network
// is on the link (RFC 3442).
func (s settings) route(to *net.IPNet, gateway net.IP) route {
	gateway = plainIP(gateway)
	return route{to: &net.IPNet{IP: to.IP.Mask(to.Mask), Mask: to.Mask}, gateway: gateway, onLink: gateway != nil && !s.address.Contains(gateway)}
}

// host4 is the kernel's side of an interface, as far as IPv4 goes.
type host4 struct {
	link    netlink.Link
	servers servers
	learned *learned
	log     *slog.Logger
}

// configure gives the interface the address, the routes and the MTU of a lease.
// It returns the address with its prefix length. A route that cannot be added is
// an error only if no server can be reached.
func (h host4) configure(_ context.Context, l lease4) (string, error) {
	s, err := read(l.ack)
	if err != nil {
		return "", err
	}
	h.setMTU(s.mtu)
	if err := netlink.AddrReplace(h.link, &netlink.Addr{IPNet: s.address}); err != nil {
		return "", fmt.Errorf("add %s: %w", s.address, err)
	}
	var failed []error
	for _, r := range s.routes {
		if err := h.add(r); err != nil {
			failed = append(failed, fmt.Errorf("add the route to %s by %s: %w", r.to, r.gateway, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		if !routed(h.servers.four) {
			return "", fmt.Errorf("%w (and no server is on the link: correct the router that the DHCP server gives)", err)
		}
		h.log.Warn("a route of the lease cannot be used; the server is reached without it", "error", err)
	}
	h.learned.names(fromLease4, hosts(l.ack.DNS(), ""))
	h.learned.times(fromLease4, hosts(l.ack.NTPServers(), ""))
	return s.address.String(), nil
}

// setMTU sets the interface's MTU. Many interfaces can do without it, so that a
// failure is only a warning.
func (h host4) setMTU(mtu int) {
	if mtu == 0 || mtu == h.link.Attrs().MTU {
		return
	}
	if err := netlink.LinkSetMTU(h.link, mtu); err != nil {
		h.log.Warn("the MTU of the lease cannot be set", "mtu", mtu, "error", err)
	}
}

func (h host4) add(r route) error {
	add := &netlink.Route{LinkIndex: h.link.Attrs().Index, Dst: r.to, Gw: r.gateway}
	if r.gateway == nil {
		add.Scope = netlink.SCOPE_LINK
	}
	if r.onLink {
		add.Flags = int(netlink.FLAG_ONLINK)
	}
	return netlink.RouteReplace(add)
}

// forget takes the address and its routes from the interface.
func (h host4) forget() { removeAddresses(h.link, netlink.FAMILY_V4) }

// family4 is IPv4 on an interface.
type family4 struct{ keeper keeper[lease4] }

func newFamily4(link netlink.Link, s servers, named *learned, log *slog.Logger) family4 {
	name := link.Attrs().Name
	return family4{keeper[lease4]{
		name: name, client: wire4{name: name, mac: link.Attrs().HardwareAddr},
		host: host4{link: link, servers: s, learned: named, log: log}, log: log,
	}}
}

// run implements family.
func (f family4) run(ctx context.Context, up func(address string)) error {
	f.keeper.log.Info("asking for an address", "interface", f.keeper.name)
	first, err := f.keeper.client.request(ctx)
	if err != nil {
		return err
	}
	address, err := f.keeper.host.configure(ctx, first)
	if err != nil {
		return fmt.Errorf("configure %s: %w", f.keeper.name, err)
	}
	up(address)
	f.keeper.keep(ctx, first)
	return ctx.Err()
}
