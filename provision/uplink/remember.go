package uplink

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// Remembered is how an interface was configured at some time.
type Remembered struct {
	name      string
	mtu       int // bytes
	addresses []netlink.Addr
	routes    []netlink.Route
}

// Remember looks at how an interface is configured.
func Remember(name string) (*Remembered, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("look at the interface %s: %w", name, err)
	}
	r := &Remembered{name: name, mtu: link.Attrs().MTU}
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

// Restore switches the interface on and adds what is missing of its addresses and routes.
// What another program has added stays. Changed says that something was missing.
func (r *Remembered) Restore() (changed bool, err error) {
	link, err := netlink.LinkByName(r.name)
	if err != nil {
		return false, fmt.Errorf("configure %s again: %w", r.name, err)
	}
	now, err := Remember(r.name)
	if err != nil {
		return false, err
	}
	var errs []error
	do := func(err error) {
		changed = true
		errs = append(errs, err)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		do(netlink.LinkSetUp(link))
	}
	for _, a := range r.addresses {
		if !now.has(a) {
			do(netlink.AddrReplace(link, &netlink.Addr{IPNet: a.IPNet, Scope: a.Scope, Flags: a.Flags}))
		}
	}
	for _, route := range r.routes {
		if !now.leads(route) {
			do(netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: route.Dst, Gw: route.Gw, Scope: route.Scope, Flags: route.Flags, Protocol: route.Protocol}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return changed, fmt.Errorf("configure %s again: %w", r.name, err)
	}
	return changed, nil
}

func (r *Remembered) has(a netlink.Addr) bool {
	for _, other := range r.addresses {
		if other.Equal(a) {
			return true
		}
	}
	return false
}

// leads says whether there is a route to the same place.
func (r *Remembered) leads(to netlink.Route) bool {
	for _, other := range r.routes {
		if fmt.Sprint(other.Dst) == fmt.Sprint(to.Dst) {
			return true
		}
	}
	return false
}
