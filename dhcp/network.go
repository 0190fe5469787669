package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DefaultLeaseTime is how long a lease lasts unless its Network says otherwise.
const DefaultLeaseTime = time.Hour

// Network is one subnet, with the configuration that its clients get.
type Network struct {
	// Name is what people call it. It may be empty.
	Name string
	Mode Mode
	// Subnet gives the netmask: "10.0.0.0/24".
	Subnet netip.Prefix
	// Pool has the addresses to give out. If it is empty, only clients with a
	// reservation get an address.
	Pool Ranges
	// Router is the default gateway; invalid for a network without one.
	Router   netip.Addr
	DNS, NTP []netip.Addr
	Domain   string
	// LeaseTime is how long a lease lasts; 0 means DefaultLeaseTime.
	LeaseTime time.Duration
	// Options are further options. A client gets those that it asks for in option
	// 55, or all if it has no such list. None may be one of which [IsOwnOption]
	// is true.
	Options []Option
	// Services are addresses outside of the subnet at which this host serves the
	// network's clients, too. Those that ask for routes (option 121, RFC 3442) get one
	// to each, by the server's own address. Clients behind a relay get it by Router, and
	// none if there is no router.
	Services []netip.Addr
}

// Option is a DHCP option as it is in a packet.
type Option struct {
	Code  uint8
	Value []byte // not empty
}

// Term is how long a lease of the network lasts.
func (n Network) Term() time.Duration {
	if n.LeaseTime <= 0 {
		return DefaultLeaseTime
	}
	return n.LeaseTime
}

// Validate checks that the pool is within the subnet, and that no option is one of
// the server's own.
func (n Network) Validate() error {
	if !n.Subnet.Addr().Is4() {
		return fmt.Errorf("the subnet %q is no IPv4 subnet: write it as 10.0.0.0/24", n.Subnet)
	}
	for i, r := range n.Pool {
		if !n.Subnet.Contains(r.First) || !n.Subnet.Contains(r.Last) {
			return fmt.Errorf("the pool %s is not within the subnet %s: choose a range of that subnet", r, n.Subnet.Masked())
		}
		for _, other := range n.Pool[:i] {
			if r.Contains(other.First) || other.Contains(r.First) {
				return fmt.Errorf("the ranges %s and %s of a pool overlap: make one of them", other, r)
			}
		}
	}
	for _, o := range n.Options {
		if IsOwnOption(o.Code) {
			return fmt.Errorf("option %d is one that the server itself decides about: leave it out", o.Code)
		}
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

// size is how many addresses a range has that is not empty.
func (r Range) size() uint32 { return number(r.Last) - number(r.First) + 1 }

// Part parts the last n-th of a range from the rest. If the range has less than n
// addresses, the last part is empty.
func (r Range) Part(n uint32) (rest, last Range) {
	size := r.size() / n
	if size == 0 {
		return r, last
	}
	border := address(number(r.Last) - size)
	return Range{r.First, border}, Range{border.Next(), r.Last}
}

// String writes the range in the form that ParseRange reads.
func (r Range) String() string {
	if !r.First.IsValid() {
		return ""
	}
	return r.First.String() + "-" + r.Last.String()
}

// Ranges are ranges of addresses, none of them empty.
type Ranges []Range

// Contains says whether an address is in one of the ranges.
func (r Ranges) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(r, func(one Range) bool { return one.Contains(a) })
}

// Size is how many addresses there are.
func (r Ranges) Size() (n int) {
	for _, one := range r {
		n += int(one.size())
	}
	return n
}

// String lists the ranges, with commas between them.
func (r Ranges) String() string {
	texts := make([]string, len(r))
	for i, one := range r {
		texts[i] = one.String()
	}
	return strings.Join(texts, ", ")
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
