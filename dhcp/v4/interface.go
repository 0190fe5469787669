package v4

import (
	"fmt"
	"net/netip"
	"slices"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// Interface is a network interface to serve on.
type Interface struct {
	// Name is the interface's name: "eth1", "eth1.20", "br0".
	Name string
	// Addr is the server's own address there; invalid means an address of the
	// interface.
	Addr netip.Addr
	// TFTP is the TFTP server that clients are sent to; invalid means Addr.
	TFTP netip.Addr
	// Network is the interface's own network. If it has no Subnet, it gets
	// that of the interface's address.
	Network dhcp.Network
}

// resolve fills in the fields that are empty, from the interface's addresses.
func (i Interface) resolve(addrs []netip.Prefix) (Interface, netip.Prefix, error) {
	own, ok := i.ownAddress(addrs)
	if !ok {
		return i, own, serving.NotThere(fmt.Errorf("the interface has no IPv4 address that fits: give it one, with ip addr add ADDRESS/BITS dev %s", i.Name))
	}
	i.Addr = own.Addr()
	if !i.Network.Subnet.IsValid() {
		i.Network.Subnet = own.Masked()
	}
	return i, own, i.Network.Validate()
}

// ownAddress chooses the address to serve from: the given one, or the first that
// is in the network's subnet, or whose subnet has the pool.
func (i Interface) ownAddress(addrs []netip.Prefix) (netip.Prefix, bool) {
	fits := func(p netip.Prefix) bool {
		switch {
		case i.Addr.IsValid():
			return p.Addr() == i.Addr
		case i.Network.Subnet.IsValid():
			return i.Network.Subnet.Contains(p.Addr())
		case len(i.Network.Pool) > 0:
			return p.Contains(i.Network.Pool[0].First)
		}
		return true
	}
	for _, p := range addrs {
		if p.Addr().Is4() && !slices.Contains(i.Network.Services, p.Addr()) && fits(p) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
