// Package hosts remembers which machine is at an address, since much that a machine asks
// has only its address. It is a bounded guess, by what DHCP gave and by where requests
// came from: traces and quotas depend on it, and nothing that decides about a disk.
package hosts

import (
	"net/netip"
	"sync"

	"cloudlets/provision"
)

// maxStrangerHosts bounds the strangers whose addresses are remembered. Beyond
// it, one makes room for another; only the traces depend on them.
const maxStrangerHosts = 4096

// Hosts remembers which machine is at an address, by the network card that it has there.
// What DHCP said counts more than where a request came from: a host that asks for
// another's boot script does not take over its trace. The zero value is ready for use,
// by several goroutines at once.
type Hosts struct {
	mu        sync.Mutex
	machines  map[provision.MAC]places
	strangers map[provision.MAC]places
	at        map[netip.Addr]provision.MAC
}

// places are the addresses of one card: of IPv4, and of IPv6.
type places [2]place

// in is the place in one of the protocols.
func (p *places) in(ipv6 bool) *place {
	if ipv6 {
		return &p[1]
	}
	return &p[0]
}

// place has the addresses in one protocol. One that is not known is invalid.
type place struct {
	given netip.Addr // by DHCP
	seen  netip.Addr // where its latest request came from
}

// Gave notes the address that DHCP gave to a machine. known says that the machine is in the
// site; of others only so many are remembered.
func (h *Hosts) Gave(mac provision.MAC, addr netip.Addr, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.of(mac)
	at := p.in(addr.Is6())
	h.leave(mac, at.given)
	at.given = addr
	h.put(mac, p, known)
	h.at[addr] = mac
}

// Saw notes where a machine's request came from, unless DHCP gave that address
// to another machine.
func (h *Hosts) Saw(mac provision.MAC, addr netip.Addr, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, taken := h.at[addr]; taken && other != mac {
		if p := h.of(other); p.in(addr.Is6()).given == addr {
			return
		}
	}
	p := h.of(mac)
	at := p.in(addr.Is6())
	if at.seen != at.given {
		h.leave(mac, at.seen)
	}
	at.seen = addr
	h.put(mac, p, known)
	h.at[addr] = mac
}

// Machine is the machine at an address.
func (h *Hosts) Machine(addr netip.Addr) (provision.MAC, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mac, ok := h.at[addr]
	return mac, ok
}

// Given is the address of IPv4 or IPv6 that DHCP gave to a machine, or invalid.
func (h *Hosts) Given(mac provision.MAC, ipv6 bool) netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.of(mac)
	return p.in(ipv6).given
}

func (h *Hosts) of(mac provision.MAC) places {
	if p, ok := h.machines[mac]; ok {
		return p
	}
	return h.strangers[mac]
}

// put keeps a machine's places. known says that the machine is in the site.
func (h *Hosts) put(mac provision.MAC, p places, known bool) {
	if h.at == nil {
		h.at = make(map[netip.Addr]provision.MAC)
		h.machines = make(map[provision.MAC]places)
		h.strangers = make(map[provision.MAC]places)
	}
	if known {
		delete(h.strangers, mac)
		h.machines[mac] = p
		return
	}
	delete(h.machines, mac)
	if _, there := h.strangers[mac]; !there && len(h.strangers) >= maxStrangerHosts {
		h.forgetOne()
	}
	h.strangers[mac] = p
}

// forgetOne forgets any stranger.
func (h *Hosts) forgetOne() {
	for mac, p := range h.strangers {
		for _, at := range p {
			h.leave(mac, at.given)
			h.leave(mac, at.seen)
		}
		delete(h.strangers, mac)
		return
	}
}

// leave notes that a machine is at an address no more.
func (h *Hosts) leave(mac provision.MAC, addr netip.Addr) {
	if h.at[addr] == mac {
		delete(h.at, addr)
	}
}
