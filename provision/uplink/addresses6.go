package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// errDuplicate means that another machine has the address already (RFC 4862, 5.4).
var errDuplicate = errors.New("another machine on the network has it already")

// until waits until ready says yes. It asks again whenever the kernel's addresses
// or routes change. It returns the error of ready, or that of ctx.
func until(ctx context.Context, ready func() (bool, error)) error {
	done := make(chan struct{})
	stop := sync.OnceFunc(func() { close(done) })
	defer stop()
	addresses, routes := make(chan netlink.AddrUpdate), make(chan netlink.RouteUpdate)
	if err := netlink.AddrSubscribe(addresses, done); err != nil {
		return fmt.Errorf("watch the kernel's addresses: %w", err)
	}
	defer drain(stop, addresses)
	if err := netlink.RouteSubscribe(routes, done); err != nil {
		return fmt.Errorf("watch the kernel's routes: %w", err)
	}
	defer drain(stop, routes)
	for more := true; ; {
		if yes, err := ready(); yes || err != nil {
			return err
		}
		if !more {
			return errors.New("watch the kernel's addresses and routes: the kernel sends no more changes")
		}
		select {
		case _, more = <-addresses:
		case _, more = <-routes:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drain ends a subscription, and waits until its sender has closed the channel.
func drain[T any](stop func(), c <-chan T) {
	stop()
	for range c {
	}
}

// addresses6 returns the IPv6 addresses of an interface that can be used. Of those
// that only belong to the link, it returns none unless linkLocal is true, and then
// no others.
func addresses6(link netlink.Link, linkLocal bool) ([]*net.IPNet, error) {
	all, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", link.Attrs().Name, err)
	}
	var usable []*net.IPNet
	for _, a := range all {
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 && a.IP.IsLinkLocalUnicast() == linkLocal {
			usable = append(usable, a.IPNet)
		}
	}
	return usable, nil
}

// checked waits until the kernel has checked that no other machine has an address
// of the interface. It returns [errDuplicate] if one has.
func checked(ctx context.Context, link netlink.Link, match func(net.IP) bool) error {
	return until(ctx, func() (bool, error) {
		all, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			return false, fmt.Errorf("list the addresses of %s: %w", link.Attrs().Name, err)
		}
		for _, a := range all {
			switch {
			case !match(a.IP):
			case a.Flags&unix.IFA_F_DADFAILED != 0:
				return false, fmt.Errorf("use %s on %s: %w", a.IP, link.Attrs().Name, errDuplicate)
			case a.Flags&unix.IFA_F_TENTATIVE == 0:
				return true, nil
			}
		}
		return false, nil
	})
}
