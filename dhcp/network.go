package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// DefaultLeaseTime is how long a lease lasts unless its Network says otherwise.
const DefaultLeaseTime = time.Hour

// Network is one subnet, with the configuration that its clients get.
type Network struct {
	// Subnet gives the netmask: "10.0.0.0/24".
	Subnet netip.Prefix
	// Range is the pool. If it is empty, only clients with a reservation get
	// an address.
	Range Range
	// Router is the default gateway; invalid for a network without one.
	Router netip.Addr
	DNS    []netip.Addr
	Domain string
	// LeaseTime is how long a lease lasts; 0 means DefaultLeaseTime.
	LeaseTime time.Duration
}

func (n Network) leaseTime() time.Duration {
	if n.LeaseTime <= 0 {
		return DefaultLeaseTime
	}
	return n.LeaseTime
}

// validate checks that the pool is within the subnet.
func (n Network) validate() error {
	if n.Range == (Range{}) {
		return nil
	}
	if !n.Subnet.Contains(n.Range.First) || !n.Subnet.Contains(n.Range.Last) {
		return fmt.Errorf("the pool %s is not within the subnet %s: choose a range of that subnet", n.Range, n.Subnet.Masked())
	}
	return nil
}

// Range is a range of addresses with both ends included; the zero Range is
// empty.
type Range struct{ First, Last netip.Addr }

// ParseRange reads a range of IPv4 addresses, "10.0.0.100-10.0.0.200".
func ParseRange(s string) (Range, error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return Range{}, fmt.Errorf("parse address range %q: want two addresses with a dash, as in 10.0.0.100-10.0.0.200", s)
	}
	a, errA := netip.ParseAddr(strings.TrimSpace(first))
	b, errB := netip.ParseAddr(strings.TrimSpace(last))
	if err := errors.Join(errA, errB); err != nil {
		return Range{}, fmt.Errorf("parse address range %q: %w", s, err)
	}
	if !a.Is4() || !b.Is4() || b.Less(a) {
		return Range{}, fmt.Errorf("parse address range %q: want IPv4 addresses, the lower one first", s)
	}
	return Range{a, b}, nil
}

// Contains says whether an address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return r.First.IsValid() && !a.Less(r.First) && !r.Last.Less(a)
}

// String writes the range in the form that ParseRange reads.
func (r Range) String() string {
	if !r.First.IsValid() {
		return ""
	}
	return r.First.String() + "-" + r.Last.String()
}
