package leases

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"cloudlets/dhcp"
)

// TestIndependentParts: the parts are the first changes in their order, at least one of
// them, and no address is in two parts.
func TestIndependentParts(t *testing.T) {
	const most = 4
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		changes := make([]dhcp.LeaseChange, 1+r.IntN(30))
		for i := range changes {
			changes[i].Lease.Addr = addr(r.IntN(80))
			if r.IntN(4) == 0 {
				changes[i].Left = addr(r.IntN(80))
			}
		}
		var all []dhcp.LeaseChange
		part := make(map[netip.Addr]int)
		for i, p := range independent(changes, most) {
			if len(p) == 0 || len(p) > most {
				t.Errorf("seed %d: part %d has %d changes", seed, i, len(p))
			}
			for _, c := range p {
				for _, a := range []netip.Addr{c.Lease.Addr, c.Left} {
					if before, other := part[a]; a.IsValid() && other && before != i {
						t.Errorf("seed %d: %s is in the parts %d and %d", seed, a, before, i)
					}
					part[a] = i
				}
			}
			all = append(all, p...)
		}
		same := func(a, b dhcp.LeaseChange) bool { return a.Lease.Addr == b.Lease.Addr && a.Left == b.Left }
		if len(all) == 0 || !slices.EqualFunc(all, changes[:len(all)], same) {
			t.Errorf("seed %d: the parts are %v of %v", seed, all, changes)
		}
	}
	one := []dhcp.LeaseChange{{Lease: dhcp.Lease{Addr: addr(1)}}, {Lease: dhcp.Lease{Addr: addr(1)}}}
	if parts := independent(one, 1); len(parts) != 1 || len(parts[0]) != 1 {
		t.Errorf("two changes of one address are in %v", parts)
	}
}
