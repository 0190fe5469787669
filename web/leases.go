package web

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/leases"
	"cloudlets/web/api"
)

// Leases are those of all servers that share the store. [leases.Book] implements it.
type Leases interface {
	Page(leases.Query, time.Time) leases.Page
}

var _ Leases = (*leases.Book)(nil)

// leases answers with one page of the leases.
func (s *Server) leases(r *http.Request) (any, error) {
	list := api.LeasePage{Leases: []api.Lease{}}
	networks := s.networkList().Networks
	q, err := s.leaseQuery(r, networks)
	if err != nil || s.Leases == nil {
		return list, err
	}
	page := s.Leases.Page(q, s.now())
	if page.Next.IsValid() {
		list.Next = page.Next.String()
	}
	in := subnets(networks)
	for _, record := range page.Leases {
		list.Leases = append(list.Leases, s.lease(record, in))
	}
	return list, nil
}

// leaseQuery reads which leases a request asks for.
func (s *Server) leaseQuery(r *http.Request, networks []api.NetworkInfo) (q leases.Query, err error) {
	values := r.URL.Query()
	limit, err := number(r, "limit")
	if err != nil {
		return q, err
	}
	if limit > leases.MaxLimit {
		return q, refuse(http.StatusBadRequest, "a page of %d leases cannot be given; ask for 1 to %d", limit, leases.MaxLimit)
	}
	q.Limit = int(limit)
	if text := values.Get("all"); text != "" {
		if q.Ended, err = strconv.ParseBool(text); err != nil {
			return q, refuse(http.StatusBadRequest, "all=%.40q is neither true nor false", text)
		}
	}
	if text := values.Get("after"); text != "" {
		if q.After, err = netip.ParseAddr(text); err != nil || q.After.Zone() != "" {
			return q, refuse(http.StatusBadRequest, `after=%.40q is not a place in the list; give "next" of the page before`, text)
		}
	}
	if err := s.leasesOf(&q, values.Get("of")); err != nil {
		return q, err
	}
	return q, leasesIn(&q, values.Get("network"), networks)
}

// leasesOf has a query select the leases of a machine, a network card, an address or a
// subnet.
func (s *Server) leasesOf(q *leases.Query, of string) error {
	if of == "" {
		return nil
	}
	if subnet, err := netip.ParsePrefix(of); err == nil {
		q.In = subnet.Masked()
		return nil
	}
	if addr, err := netip.ParseAddr(of); err == nil {
		addr = addr.Unmap().WithZone("")
		q.In = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	_, macErr := provision.ParseMAC(of)
	if macErr != nil && len(s.Site.ByName(of)) == 0 {
		q.Hostname = of
		return nil
	}
	mac, err := s.find(of)
	if err != nil {
		return err
	}
	q.Of = [][6]byte{}
	for _, card := range s.cards(mac) {
		q.Of = append(q.Of, [6]byte(card.HardwareAddr()))
	}
	return nil
}

// cards are the network cards of a machine: that by which it is known, those that its
// file lists, and those by which it booted.
func (s *Server) cards(machine provision.MAC) []provision.MAC {
	cards := []provision.MAC{machine}
	if spec := s.spec(machine); spec != nil {
		cards = append(cards, spec.Cards...)
	}
	state, _ := s.Tracker.State(machine)
	for card := range state.Cards {
		if s.Tracker.Machine(s.Site, card) == machine {
			cards = append(cards, card)
		}
	}
	return cards
}

// leasesIn has a query select the leases of a network.
func leasesIn(q *leases.Query, network string, networks []api.NetworkInfo) error {
	if network == "" {
		return nil
	}
	var names []string
	for _, n := range networks {
		if n.Name != network {
			names = append(names, n.Name)
			continue
		}
		subnet, err := netip.ParsePrefix(n.Subnet)
		if err != nil {
			return refuse(http.StatusConflict, "the network %q has no subnet now: its interface is not there, or has no address", network)
		}
		switch subnet = subnet.Masked(); {
		case !q.In.IsValid() || q.In.Contains(subnet.Addr()) && q.In.Bits() <= subnet.Bits():
			q.In = subnet
		case !subnet.Contains(q.In.Addr()):
			q.Of = [][6]byte{} // nothing is in both
		}
		return nil
	}
	return refuse(http.StatusNotFound, "no network is called %.80q; `cloudlets networks` lists the networks of this server%s", network, jsontext.DidYouMean(network, names))
}

// subnet is a network's, with its name.
type subnet struct {
	netip.Prefix
	name string
}

func subnets(networks []api.NetworkInfo) (all []subnet) {
	for _, n := range networks {
		if prefix, err := netip.ParsePrefix(n.Subnet); err == nil {
			all = append(all, subnet{prefix, n.Name})
		}
	}
	return all
}

func (s *Server) lease(r leases.Record, networks []subnet) api.Lease {
	l := api.Lease{
		Address: r.Addr, Hostname: r.Hostname, Server: r.Server, Since: r.Since, Expires: r.Expires, Ended: !r.Expires.After(s.now()),
	}
	for _, n := range networks {
		if n.Contains(r.Addr) {
			l.Network = n.name
		}
	}
	mac, err := provision.MACFrom(r.MAC)
	if err != nil {
		return l
	}
	l.MAC = mac
	if spec := s.spec(s.Tracker.Machine(s.Site, mac)); spec != nil {
		l.Machine, l.Name = spec.MAC, spec.Hostname
	}
	return l
}
