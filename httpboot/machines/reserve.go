package machines

import (
	"net"
	"net/netip"
	"slices"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// Known implements [dhcp.Registry]: the site's machines are known.
func (m *Machines) Known(hw net.HardwareAddr) bool {
	mac, err := provision.MACFrom(hw)
	if err != nil {
		return false
	}
	return m.isListed(mac)
}

// Reserve implements [dhcp.Reserver]. A machine's address is kept for each of its
// cards.
func (m *Machines) Reserve(hw net.HardwareAddr, subnet netip.Prefix) (dhcp.Reservation, bool) {
	mac, err := provision.MACFrom(hw)
	if err != nil {
		return dhcp.Reservation{}, false
	}
	spec := m.Spec(mac)
	if spec == nil || !spec.Address.IsValid() && spec.Hostname == "" {
		return dhcp.Reservation{}, false
	}
	r := dhcp.Reservation{Addr: spec.Address, Hostname: spec.Hostname}
	if i := slices.IndexFunc(spec.MoreAddresses, subnet.Contains); i >= 0 && !subnet.Contains(r.Addr) {
		r.Addr = spec.MoreAddresses[i]
	}
	if r.Addr.Is6() != subnet.Addr().Is6() {
		r.Addr = netip.Addr{} // it is for the machine's other protocol
	}
	return r, true
}

// Reserved implements [dhcp.Reserver].
func (m *Machines) Reserved(addr netip.Addr) (net.HardwareAddr, bool) {
	mac, ok := m.Site.ByAddress(addr)
	if !ok {
		return nil, false
	}
	return mac.HardwareAddr(), true
}
