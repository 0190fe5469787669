package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Remembered is how an interface was configured at some time, so that servers can be
// reached again after somebody took that away.
type Remembered struct {
	index     int // its name may change
	mac       net.HardwareAddr
	mtu       int // bytes
	addresses []netlink.Addr
	routes    []netlink.Route
}

const (
	// restoredFor is how long, in seconds, an address that was added again is valid.
	// Nobody renews its lease, so it must not stay; what should configure the interface has
	// that time.
	restoredFor = 3600
	// restoredMetric is that of routes that were added again: any other one counts more.
	restoredMetric = 1 << 30
)

// Remember looks at how an interface is configured.
func Remember(name string) (*Remembered, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("look at the interface %s: %w", name, err)
	}
	r := &Remembered{index: link.Attrs().Index, mac: link.Attrs().HardwareAddr, mtu: link.Attrs().MTU}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		addresses, err := netlink.AddrList(link, family)
		if err != nil {
			return nil, fmt.Errorf("look at the addresses of %s: %w", name, err)
		}
		routes, err := netlink.RouteList(link, family)
		if err != nil {
			return nil, fmt.Errorf("look at the routes by %s: %w", name, err)
		}
		r.addresses, r.routes = append(r.addresses, addresses...), append(r.routes, routes...)
	}
	return r, nil
}

// Restore lets some servers be reached as they were. It does nothing while there is a route
// to one of them, by whatever interface. Otherwise it switches the interface on and adds the
// addresses for an hour, and the routes with a metric by which others count more. So nothing
// that another program configures is changed. Changed says that it did something.
func (r *Remembered) Restore(servers []netip.Addr) (changed bool, err error) {
	link, err := netlink.LinkByIndex(r.index)
	if err != nil {
		return false, fmt.Errorf("configure the interface of the server again: it is gone: %w", err)
	}
	name := link.Attrs().Name
	if !bytes.Equal(link.Attrs().HardwareAddr, r.mac) {
		return false, fmt.Errorf("configure the interface of the server again: %s has another hardware address now, %s", name, link.Attrs().HardwareAddr)
	}
	if r.reaches(servers) {
		return false, nil
	}
	errs := []error{netlink.LinkSetUp(link)}
	if link.Attrs().MTU != r.mtu {
		errs = append(errs, netlink.LinkSetMTU(link, r.mtu))
	}
	for _, a := range r.addresses {
		if a.IP.IsLinkLocalUnicast() {
			continue // the kernel has its own
		}
		errs = append(errs, netlink.AddrReplace(link, &netlink.Addr{IPNet: a.IPNet, Scope: a.Scope, ValidLft: restoredFor, PreferedLft: restoredFor}))
	}
	for _, route := range r.routes {
		if route.Protocol == syscall.RTPROT_KERNEL {
			continue // the kernel makes it with the address
		}
		add := &netlink.Route{LinkIndex: r.index, Dst: route.Dst, Gw: route.Gw, Scope: route.Scope, Flags: route.Flags, Priority: restoredMetric}
		if err := netlink.RouteAdd(add); !errors.Is(err, syscall.EEXIST) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return true, fmt.Errorf("configure %s again: %w", name, err)
	}
	return true, nil
}

// reaches says whether there is a route to a server.
func (r *Remembered) reaches(servers []netip.Addr) bool {
	for _, server := range servers {
		if routes, err := netlink.RouteGet(server.AsSlice()); err == nil && len(routes) > 0 && routes[0].Src != nil {
			return true
		}
	}
	return false
}
