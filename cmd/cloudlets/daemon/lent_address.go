//go:build linux

package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lentAddress is an address that interfaces have while the server runs. No other process
// may have it. It is not safe for use by several goroutines at once.
type lentAddress struct {
	addr netip.Addr
	to   []string // the interfaces that got it
}

// lend gives interfaces the address, as one of the link alone. Those that got it and are
// not among them any more lose it. An interface that has it in that form already loses it
// with the others: a server that was killed left it there. In any other form, or on any
// other interface, it is another process's, which is an error.
func (l *lentAddress) lend(interfaces []string) error {
	holders, err := l.holders(slices.Concat(interfaces, l.to))
	if err != nil {
		return err
	}
	var errs []error
	l.to = slices.DeleteFunc(l.to, func(name string) bool {
		if slices.Contains(interfaces, name) {
			return false
		}
		errs = append(errs, l.takeFrom(name))
		return true
	})
	for _, name := range interfaces {
		// To add it again would tell all who watch the interfaces of a change.
		if !slices.Contains(holders, name) {
			link, err := netlink.LinkByName(name)
			if err == nil {
				err = netlink.AddrAdd(link, l.onLink())
			}
			if err != nil && !errors.Is(err, unix.EEXIST) {
				errs = append(errs, fmt.Errorf("give the interface %s the address %s: %w (it takes root or CAP_NET_ADMIN)", name, l.addr, err))
				continue
			}
		}
		if !slices.Contains(l.to, name) {
			l.to = append(l.to, name)
		}
	}
	return errors.Join(errs...)
}

// holders are those of our interfaces that have the address. Where it is another
// process's, the error says where.
func (l *lentAddress) holders(ours []string) (names []string, err error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	for _, a := range all {
		if has, _ := netip.AddrFromSlice(a.IP.To4()); has != l.addr {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			continue // it has just gone
		}
		name := link.Attrs().Name
		if a.IPNet.String() != l.onLink().IPNet.String() || a.Scope != unix.RT_SCOPE_LINK || !slices.Contains(ours, name) {
			return nil, fmt.Errorf("the interface %s has %s already, which another process has put there; stop that process, take the address away (ip addr del %[2]s dev %[1]s), or take \"metadata\" out of cloudlets.json", name, a.IPNet)
		}
		names = append(names, name)
	}
	return names, nil
}

// onLink is the address as an interface has it: the host's alone, on the link alone.
func (l *lentAddress) onLink() *netlink.Addr {
	return &netlink.Addr{IPNet: netlink.NewIPNet(l.addr.AsSlice()), Scope: unix.RT_SCOPE_LINK}
}

// Close takes the address from all interfaces.
func (l *lentAddress) Close() error {
	var errs []error
	for _, name := range l.to {
		errs = append(errs, l.takeFrom(name))
	}
	l.to = nil
	return errors.Join(errs...)
}

// takeFrom takes the address from an interface. One that is gone has it no more.
func (l *lentAddress) takeFrom(name string) error {
	link, err := netlink.LinkByName(name)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return nil
	}
	if err == nil {
		err = netlink.AddrDel(link, l.onLink())
	}
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("take the address %s from the interface %s: %w", l.addr, name, err)
	}
	return nil
}
