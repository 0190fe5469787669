package site

import (
	"net/netip"
	"slices"
	"strings"

	"cloudlets/images/jsontext"
)

// Served is a subnet whose machines get their addresses from this server.
type Served struct {
	// Subnet is the subnet: 10.0.0.0/24.
	Subnet netip.Prefix
	// Taken are its addresses that no machine can have, each with what it is: "the
	// router's". The first and the last one of the subnet need not be named.
	Taken map[netip.Addr]string
}

// Misplaced lists the machines whose address no machine can have in the subnets that a
// server serves: one that something else has, or one of another subnet. Such a machine
// gets an address of the pool.
func (s *Site) Misplaced(served []Served) jsontext.Problems {
	var problems jsontext.Problems
	for _, spec := range s.Specs() {
		if !spec.Address.IsValid() {
			continue
		}
		if why := misplaced(spec.Address, served); why != "" {
			problems = append(problems, jsontext.About(spec.File(),
				"address %s is %s: give the machine a free one of the subnet; until then it gets one of the pool", spec.Address, why))
		}
	}
	return problems
}

// misplaced says why no machine can have an address, or "".
func misplaced(a netip.Addr, served []Served) string {
	i := slices.IndexFunc(served, func(n Served) bool { return n.Subnet.Contains(a) })
	if i < 0 {
		return "not in " + names(served)
	}
	n := served[i]
	switch what, taken := n.Taken[a]; {
	case taken:
		return what
	case n.Subnet.Bits() >= 31 && a.Is4() || n.Subnet.Bits() >= 127:
		return ""
	case a == n.Subnet.Masked().Addr():
		return "the address of the network itself"
	case a.Is4() && !n.Subnet.Contains(a.Next()):
		return "the broadcast address"
	}
	return ""
}

func names(served []Served) string {
	var list []string
	for _, n := range served {
		list = append(list, n.Subnet.Masked().String())
	}
	return strings.Join(list, " or ")
}
