//go:build linux

package daemon

import (
	"math"
	"net/netip"

	"cloudlets/dhcp/serving"
	v4 "cloudlets/dhcp/v4"
	v6 "cloudlets/dhcp/v6"
	"cloudlets/web/api"
)

// networks says how each network is served now.
func (d *Daemon) networks() api.Networks {
	list := api.Networks{Networks: []api.NetworkInfo{}}
	served := map[string]v4.NetworkStatus{}
	if l := d.dhcp.Load(); l != nil {
		for _, s := range l.Networks() {
			served[s.Name] = s
		}
		addElsewhere(&list, l)
	}
	if l := d.dhcpv6.Load(); l != nil {
		addElsewhere(&list, l)
	}
	served6 := d.servedIPv6()
	for _, p := range d.places.now() {
		n := api.NetworkInfo{Name: p.Title(), Interface: p.Interface, DHCP: dhcpMode(p.Network).String()}
		if p.own.IsValid() {
			n.Address, n.Subnet = p.own.Addr().String(), p.own.Masked().String()
		}
		if p.Subnet.IsValid() {
			n.Subnet = p.Subnet.String()
		}
		if s, ok := served[n.Name]; ok {
			n.Pool, n.PoolSize, n.PoolUsed = s.Pool.String(), s.Pool.Size(), s.Used
			n.Waiting, n.Unanswered, n.OtherServers = waitingInfo(s.Waiting), unansweredInfo(s.Unanswered), otherServers(s.Rivals)
		}
		if s, ok := served6[n.Name]; ok {
			n.Pool, n.PoolSize, n.PoolUsed = s.Pool.String(), int(min(s.Size, math.MaxInt)), s.Used
			n.Waiting, n.Unanswered = waitingInfo(s.Waiting), unansweredInfo(s.Unanswered)
		}
		list.Networks = append(list.Networks, n)
	}
	return list
}

// servedIPv6 are the networks of IPv6 as they are served now, by name.
func (d *Daemon) servedIPv6() map[string]v6.NetworkStatus {
	served := map[string]v6.NetworkStatus{}
	if l := d.dhcpv6.Load(); l != nil {
		for _, s := range l.Networks() {
			served[s.Name] = s
		}
	}
	return served
}

// addElsewhere adds what a server knows of clients whose networks are not served.
func addElsewhere(list *api.Networks, l interface {
	Elsewhere() ([]serving.Waiting, []serving.Unanswered)
}) {
	waiting, unanswered := l.Elsewhere()
	list.Elsewhere = append(list.Elsewhere, waitingInfo(waiting)...)
	list.UnansweredElsewhere = append(list.UnansweredElsewhere, unansweredInfo(unanswered)...)
}

func waitingInfo(all []serving.Waiting) []api.WaitingInfo {
	list := make([]api.WaitingInfo, len(all))
	for i, w := range all {
		list[i] = api.WaitingInfo{MAC: w.Client.MAC.String(), Since: w.Since, Last: w.Last, Requests: w.Requests, Reason: w.Reason, Relay: addrText(w.Relay)}
	}
	return list
}

func unansweredInfo(all []serving.Unanswered) []api.UnansweredInfo {
	list := make([]api.UnansweredInfo, len(all))
	for i, u := range all {
		list[i] = api.UnansweredInfo{Reason: u.Reason, Requests: u.Requests, MAC: u.Client.String(), Relay: addrText(u.Relay), Last: u.Last}
	}
	return list
}

func otherServers(all []v4.Rival) []api.OtherServerInfo {
	list := make([]api.OtherServerInfo, len(all))
	for i, r := range all {
		list[i] = api.OtherServerInfo{
			Server: r.Server.String(), Offered: addrText(r.Offered), File: r.File,
			Interface: r.Interface, Since: r.Since, Last: r.Last, Answers: r.Answers,
		}
	}
	return list
}

// addrText is an address, or "" for one that is invalid.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
