package v4

import (
	"net/netip"
	"slices"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// NetworkStatus is how a network is served now.
type NetworkStatus struct {
	dhcp.Network
	// Interface is the one that it is served on; "" means by relays only.
	Interface string
	// Addr is the server's own address on the interface; invalid while that is
	// not served.
	Addr netip.Addr
	// Used is how many addresses of the pool are leased, offered or kept out of use.
	Used int
	// Waiting are the clients that have no address now, and Unanswered says why
	// requests got none since the server started.
	Waiting    []serving.Waiting
	Unanswered []serving.Unanswered
	// Rivals are other servers that answer on the network. A server looks for them
	// where it gives out addresses, and not behind relays.
	Rivals []Rival
}

// Networks says how each network is served now, those of interfaces first.
func (l *Listener) Networks() (all []NetworkStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.links {
		s := NetworkStatus{Network: k.config.Network}
		if n := l.at[k]; n != nil {
			s = l.status(n)
		}
		s.Interface = k.config.Name
		if l.up[k].IsValid() {
			s.Addr = l.up[k].Addr()
		}
		all = append(all, s)
	}
	for _, n := range l.relayed {
		all = append(all, l.status(n))
	}
	return all
}

// Elsewhere are the clients that asked by relays for addresses of networks which
// are not served, and why requests were not answered.
func (l *Listener) Elsewhere() ([]serving.Waiting, []serving.Unanswered) {
	return l.elsewhere.List(l.server.Now()), l.elsewhere.Unanswered()
}

func (l *Listener) status(n *lan) NetworkStatus {
	now := l.server.Now()
	s := NetworkStatus{Network: n.Network, Waiting: n.waiting.List(now), Unanswered: n.waiting.Unanswered(), Rivals: n.rivals.list(now)}
	if n.table != nil {
		s.Used = n.table.Used()
	}
	return s
}

// lans are all networks whose subnet is known. The caller holds mu.
func (l *Listener) lans() []*lan {
	var all []*lan
	for _, k := range l.links {
		if n := l.at[k]; n != nil {
			all = append(all, n)
		}
	}
	return append(all, l.relayed...)
}

// arrange makes the view anew, after an interface has changed.
func (l *Listener) arrange() {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &view{lans: l.lans()}
	var host []netip.Addr
	for k, own := range l.up {
		if !own.IsValid() {
			continue
		}
		v.own = append(v.own, own.Addr())
		for _, p := range l.addrs[k] {
			host = append(host, p.Addr())
		}
		host = append(host, k.config.TFTP)
	}
	for _, n := range v.lans {
		n.avoid(slices.Clone(host))
	}
	l.view.Store(v)
}
