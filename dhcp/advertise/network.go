package advertise

import (
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
)

const (
	// admittedFor is how long a machine is answered after its DHCP, at least;
	// at most it is twice as long.
	admittedFor = 30 * time.Second
	// waitsFor is how long a solicitation waits for its machine's DHCP, in the
	// same way. An iPXE asks six times, at intervals of 0.25 s to 4 s that double.
	waitsFor = 10 * time.Second
	// answersEach is how many answers a machine gets for one DHCP exchange.
	answersEach = 8
	// maxMachines bounds the machines that are remembered, twice.
	maxMachines = 4096
	// maxRouters bounds the routers that are remembered.
	maxRouters = 16
	// betweenAdvertisements is the longest time between two advertisements of a
	// router, RFC 4861, 6.2.1 (MaxRtrAdvInterval).
	betweenAdvertisements = 30 * time.Minute
)

// network is what is known of a network: which machines may be answered, which
// ask, and which routers are there. Every method takes the time that it is.
type network struct {
	admitted allowance // by DHCP, with the answers that are left
	waiting  allowance // they asked before their DHCP was seen
	routers  map[netip.Addr]time.Time
}

func newNetwork() network {
	return network{admitted: allowance{life: admittedFor}, waiting: allowance{life: waitsFor}, routers: map[netip.Addr]time.Time{}}
}

// admit says that the machine at addr is an iPXE whose DHCP was answered. It
// returns whether a solicitation of it waits, and is to be answered now.
func (n *network) admit(addr netip.Addr, now time.Time) bool {
	n.admitted.add(addr, answersEach, now)
	return n.waiting.spend(addr, now) && n.solicited(addr, now)
}

// dismiss says that an operating system runs on the machine at addr. Those are not
// answered.
func (n *network) dismiss(addr netip.Addr) {
	n.admitted.remove(addr)
	n.waiting.remove(addr)
}

// solicited says whether to answer a solicitation from addr. If its machine is
// not known yet, the solicitation waits.
func (n *network) solicited(addr netip.Addr, now time.Time) bool {
	if n.hasRouter(now) {
		return false
	}
	if n.admitted.spend(addr, now) {
		return true
	}
	n.waiting.add(addr, 1, now)
	return false
}

// advertised takes note of another router's advertisement.
func (n *network) advertised(router netip.Addr, ra *ndp.RouterAdvertisement, now time.Time) {
	until := now.Add(presence(ra))
	if !until.After(now) {
		delete(n.routers, router)
		return
	}
	if _, known := n.routers[router]; known || n.hasRoom(now) {
		n.routers[router] = until
	}
}

// presence is how long a router counts after its advertisement. One with the
// lifetime 0 is no default router, but may still give out prefixes or send hosts
// to DHCPv6: such a router answers an iPXE itself.
func presence(ra *ndp.RouterAdvertisement) time.Duration {
	if ra.RouterLifetime > 0 {
		return ra.RouterLifetime
	}
	if ra.ManagedConfiguration || ra.OtherConfiguration || givesPrefix(ra) {
		return betweenAdvertisements
	}
	return 0
}

func givesPrefix(ra *ndp.RouterAdvertisement) bool {
	for _, o := range ra.Options {
		if p, ok := o.(*ndp.PrefixInformation); ok && p.ValidLifetime > 0 {
			return true
		}
	}
	return false
}

// hasRoom forgets the routers that are gone, and says whether another one may be
// remembered. If not, those that are known keep the server silent.
func (n *network) hasRoom(now time.Time) bool {
	n.hasRouter(now)
	return len(n.routers) < maxRouters
}

// hasRouter says whether a router is there, and forgets those that are gone.
func (n *network) hasRouter(now time.Time) bool {
	for router, until := range n.routers {
		if !until.After(now) {
			delete(n.routers, router)
		}
	}
	return len(n.routers) > 0
}
