package machines

import (
	"fmt"
	"net/netip"
	"time"

	"cloudlets/provision"
)

// At is the network card at an address, as far as it was seen: a guess, by which nobody
// gets a secret.
func (m *Machines) At(addr netip.Addr) (card provision.MAC, known bool) {
	return m.hosts.Machine(addr)
}

// KnowsHost says whether a machine of the site is at an address, as far as it was
// seen.
func (m *Machines) KnowsHost(addr netip.Addr) bool {
	mac, ok := m.hosts.Machine(addr)
	return ok && m.isListed(mac)
}

// SawHost remembers that a machine asks from an address.
func (m *Machines) SawHost(mac provision.MAC, addr netip.Addr) {
	if addr.IsValid() {
		m.hosts.Saw(mac, addr, m.isListed(mac))
	}
}

// Leased is the address that DHCP gave to a card, or else the one at which its machine
// was seen last. That of IPv4 counts more.
func (m *Machines) Leased(card provision.MAC) netip.Addr {
	for _, ipv6 := range []bool{false, true} {
		if given := m.hosts.Given(card, ipv6); given.IsValid() {
			return given
		}
	}
	addr, _ := netip.ParseAddr(m.State(card).Facts["address"]) // one that was never seen has none
	return addr
}

// Foreign warns of a request for a machine that does not come from the address
// that DHCP gave to it. It returns "" if all is well, or if DHCP gave none.
//
// With IPv6 a card makes addresses of its own beside that of DHCP (RFC 4862) and asks
// from any of them. So only an address at which another card is known is foreign.
func (m *Machines) Foreign(mac provision.MAC, asked netip.Addr) string {
	given := m.hosts.Given(mac, asked.Is6())
	if !given.IsValid() || given == asked {
		return ""
	}
	if at, known := m.hosts.Machine(asked); asked.Is6() && (!known || at == mac) {
		return ""
	}
	return fmt.Sprintf("warning: it asks from %s, and DHCP gave %s to this machine; if that is another host, find out which", asked, given)
}

// FirmwareStarted is when a machine's firmware was last seen to start, or the
// zero time.
func (m *Machines) FirmwareStarted(mac provision.MAC) time.Time {
	return m.State(mac).FirmwareStarted()
}
