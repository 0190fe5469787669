package advertise

import (
	"net/netip"
	"time"
)

// allowance counts for addresses what each of them may still do. It forgets an
// address between one and two lives after it was added, and holds at most twice
// maxMachines: beyond that, more are not added until the next life begins.
type allowance struct {
	life       time.Duration
	young, old map[netip.Addr]int
	since      time.Time // when young began
}

// add gives count to an address, whatever it had before.
func (r *allowance) add(addr netip.Addr, count int, now time.Time) {
	r.turn(now)
	delete(r.old, addr)
	if _, known := r.young[addr]; known || len(r.young) < maxMachines {
		r.young[addr] = count
	}
}

// spend takes 1 from an address, and says whether there was any.
func (r *allowance) spend(addr netip.Addr, now time.Time) bool {
	r.turn(now)
	for _, counts := range []map[netip.Addr]int{r.young, r.old} {
		if left := counts[addr]; left > 1 {
			counts[addr]--
			return true
		} else if left == 1 {
			delete(counts, addr)
			return true
		}
	}
	return false
}

// remove forgets an address.
func (r *allowance) remove(addr netip.Addr) {
	delete(r.young, addr)
	delete(r.old, addr)
}

// turn begins a new life if the last one is over.
func (r *allowance) turn(now time.Time) {
	age := now.Sub(r.since)
	if r.young != nil && age < r.life {
		return
	}
	r.old = r.young
	if age >= 2*r.life {
		r.old = nil
	}
	r.young, r.since = map[netip.Addr]int{}, now
}
