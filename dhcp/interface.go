package dhcp

import (
	"fmt"
	"net/netip"
)

// Interface is a network interface to serve on.
type Interface struct {
	// Name is the interface's name, "eth1".
	Name string
	Mode Mode
	// Addr is the server's own address there; invalid means an address of the
	// interface.
	Addr netip.Addr
	// TFTP is the TFTP server that clients are sent to; invalid means Addr.
	TFTP netip.Addr
	// Network is the interface's own network. If it has no Subnet, it gets
	// that of the interface's address.
	Network Network
	// Relayed are networks behind relay agents (RFC 2131, 4.1). The address
	// of a relay says which of them its clients are on.
	Relayed []Network
}

// resolve fills in the fields that are empty, from the interface's addresses.
// It checks all networks.
func (i Interface) resolve(addrs []netip.Prefix) (Interface, error) {
	own, ok := i.ownAddress(addrs)
	if !ok {
		return i, fmt.Errorf("the interface has no IPv4 address that fits: give it one, with ip addr add ADDRESS/BITS dev %s", i.Name)
	}
	if !i.Addr.IsValid() {
		i.Addr = own.Addr()
	}
	if !i.Network.Subnet.IsValid() {
		i.Network.Subnet = own.Masked()
	}
	for _, n := range append([]Network{i.Network}, i.Relayed...) {
		if !n.Subnet.Addr().Is4() {
			return i, fmt.Errorf("the subnet %q is no IPv4 subnet: write it as 10.0.0.0/24", n.Subnet)
		}
		if err := n.validate(); err != nil {
			return i, err
		}
	}
	return i, nil
}

// ownAddress chooses the address to serve from: the given one, or the one whose
// network has the pool, or the first.
func (i Interface) ownAddress(addrs []netip.Prefix) (netip.Prefix, bool) {
	fits := func(p netip.Prefix) bool {
		switch {
		case i.Addr.IsValid():
			return p.Addr() == i.Addr
		case i.Network.Range.First.IsValid():
			return p.Contains(i.Network.Range.First)
		}
		return true
	}
	for _, p := range addrs {
		if p.Addr().Is4() && fits(p) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
