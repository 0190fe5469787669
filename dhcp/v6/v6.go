// Package v6 serves DHCPv6 to machines that boot from the network: as the network's
// own DHCPv6 server, or as a proxy beside the one that is there.
//
// It has the nouns of package [dhcp]: it asks the same [dhcp.Booter] what a client
// shall boot, keeps its leases in the same [dhcp.LeaseStore], and reports each packet
// as the same [dhcp.Exchange]. What is answered is one pure function, [Answer].
//
// A client is the link-layer address of its network card, as it is in DHCPv4: the
// firmware, the loader and the system of one machine have different DUIDs, and all
// get the same address.
//
// Router advertisements are the router's own job. Without them a client does not know
// that it shall ask by DHCPv6, and has no route and no prefix.
//
// Standards: RFC 8415 (DHCPv6), 5970 (network boot), 6939 (client link-layer address),
// 8357 (ports of relay agents), 3646 (DNS), 5908 (NTP), 4291 (modified EUI-64).
package v6

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

const (
	// ServerPort is the UDP port of servers and relay agents (RFC 8415, 7.2).
	ServerPort = 547
	// BootPort is the UDP port on which UEFI's PXE asks a proxy for the boot file.
	BootPort = 4011
)

// Network is one IPv6 subnet, with the configuration that its clients get.
type Network struct {
	// Name is what people call it. It may be empty.
	Name string
	Mode dhcp.Mode
	// Subnet is its addresses: "fd77::/64".
	Subnet netip.Prefix
	// Pool has the addresses to give out, of a larger one the first 65,536. If it is
	// empty, only clients with a reservation get an address.
	Pool     dhcp.Ranges
	DNS, NTP []netip.Addr
	Domain   string
	// LeaseTime is how long a lease lasts; 0 means [dhcp.DefaultLeaseTime].
	LeaseTime time.Duration
}

// validate checks that the subnet is one of IPv6, and that the pool is within it.
func (n Network) validate() error {
	if !n.Subnet.Addr().Is6() {
		return fmt.Errorf("the subnet %q is no IPv6 subnet: write it as fd77::/64", n.Subnet)
	}
	for _, r := range n.Pool {
		switch {
		case !n.Subnet.Contains(r.First) || !n.Subnet.Contains(r.Last) || r.Last.Less(r.First):
			return fmt.Errorf("the pool %s is not within the subnet %s: choose a range of that subnet, the lower address first", r, n.Subnet.Masked())
		case upper(r.First) != upper(r.Last):
			return fmt.Errorf("the pool %s spans several subnets of 64 bits: choose a range within one", r)
		}
	}
	return nil
}

func (n Network) leaseTime() time.Duration {
	return cmp.Or(max(n.LeaseTime, 0), dhcp.DefaultLeaseTime)
}

// Interface is a network interface to serve on.
type Interface struct {
	// Name is the interface's name: "eth1", "eth1.20", "br0".
	Name string
	// TFTP is the TFTP server that clients are sent to; invalid means the server's own
	// address on the interface.
	TFTP netip.Addr
	// Network is the interface's own network.
	Network Network
}

// Server is the configuration of a DHCPv6 server. Fill in its fields, call Listen, and
// then Serve on what Listen returned.
type Server struct {
	// Interfaces are the network interfaces to serve, at least one.
	Interfaces []Interface
	// Relayed are networks behind relay agents. Their packets may come in on any of the
	// interfaces. No subnet may overlap with another one.
	Relayed []Network
	// Booter says what clients boot; if it is nil, no client boots. If it is also a
	// [dhcp.Reserver], its reservations are kept; if it is a [dhcp.Registry], the
	// clients that it knows come first, and a part of each pool is theirs.
	Booter dhcp.Booter
	// Leases keeps leases over restarts; nil keeps them in memory only. Several servers
	// may share it: it decides which client has an address.
	Leases dhcp.LeaseStore
	// Observe, if set, is called with every exchange, by several goroutines at once. It
	// must not wait for a disk or the network.
	Observe func(dhcp.Exchange)
	// MayWait says that all interfaces may be absent when Listen is called. They are
	// served when they come.
	MayWait bool
	// Watch, if set, subscribes to changes of the host's interfaces, as
	// [ifwatch.Signal.Subscribe] does. If it is not set, the server watches them itself.
	Watch func() (told <-chan struct{}, stop func())
	// Log is for the person who runs the server; nil is silent.
	Log *slog.Logger
	// Now is the clock that leases expire by; nil means time.Now.
	Now func() time.Time
}

// NetworkStatus is how a network is served now.
type NetworkStatus struct {
	Network
	// Interface is the one that it is served on; "" means by relays only.
	Interface string
	// Addr is the server's own address on the interface; invalid while that is not
	// served.
	Addr netip.Addr
	// Size is how many addresses of the pool are given out, at most 65,536, and Used how
	// many of the pool are leased, offered or kept out of use.
	Size uint64
	Used int
	// Waiting are the clients that have no address now, and Unanswered says why
	// requests got none since the server started.
	Waiting    []serving.Waiting
	Unanswered []serving.Unanswered
}
