//go:build linux

package daemon

import (
	"cloudlets/dhcp"
	"cloudlets/web"
)

// networks says how each network is served now.
func (d *Daemon) networks() web.Networks {
	list := web.Networks{Networks: []web.NetworkInfo{}}
	served := map[string]dhcp.NetworkStatus{}
	if l := d.dhcp.Load(); l != nil {
		for _, s := range l.Networks() {
			served[s.Name] = s
		}
		list.Elsewhere = waitingInfo(l.Elsewhere())
	}
	for _, p := range d.places.now() {
		n := web.NetworkInfo{Name: p.Title(), Interface: p.Interface, DHCP: dhcpNetwork(p.Network).Mode.String()}
		if p.own.IsValid() {
			n.Address, n.Subnet = p.own.Addr().String(), p.own.Masked().String()
		}
		if p.Subnet.IsValid() {
			n.Subnet = p.Subnet.String()
		}
		if s, ok := served[n.Name]; ok {
			n.Pool, n.PoolSize, n.PoolUsed, n.Waiting = s.Pool.String(), s.Pool.Size(), s.Used, waitingInfo(s.Waiting)
		}
		list.Networks = append(list.Networks, n)
	}
	return list
}

func waitingInfo(all []dhcp.Waiting) []web.WaitingInfo {
	list := make([]web.WaitingInfo, len(all))
	for i, w := range all {
		list[i] = web.WaitingInfo{MAC: w.Client.MAC.String(), Since: w.Since, Last: w.Last, Requests: w.Requests, Reason: w.Reason}
		if w.Relay.IsValid() {
			list[i].Relay = w.Relay.String()
		}
	}
	return list
}
