package v4

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
	"cloudlets/dhcp/table"
)

// lan is a network as a listener serves it. There is one for each network, however
// many interfaces its packets come in on.
type lan struct {
	dhcp.Network
	table    *table.Table // nil unless the mode is Pool
	unfollow func()
	waiting  serving.WaitingList
	rivals   rivals
}

// newLAN makes the lease table of a network whose subnet is known, and fills it
// from the lease store.
func (s *Server) newLAN(ctx context.Context, n dhcp.Network) (*lan, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	l := &lan{Network: n, unfollow: func() {}}
	if n.Mode != dhcp.Pool {
		return l, nil
	}
	l.table = table.New(n, s.Booter, s.Now)
	l.table.Members, l.table.Own = s.Members, s.host.has
	var err error
	if l.unfollow, err = s.Leases.Follow(ctx, l.table.Learn); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return l, nil
}

// avoid keeps addresses from clients: those of this host, and of the network's
// router and DNS servers.
func (l *lan) avoid(host []netip.Addr) {
	if l.table == nil {
		return
	}
	l.table.SetAvoid(slices.Concat([]netip.Addr{l.Router}, l.DNS, host))
}

// view is what a listener knows of its networks at one time. It is never changed.
type view struct {
	lans []*lan
	own  []netip.Addr // the addresses that this server serves from
}

// sublinkSelection is the sub-option of option 82 in which a relay names a client's
// subnet, if giaddr cannot (RFC 3527).
const sublinkSelection = 5

// choose finds the network that a client is on. local is that of the interface on
// which its packet came in. If the network is not served, it returns nil and says
// why.
//
// A relay agent says it in sub-option 5 of option 82 (RFC 3527), a client or who
// asks on its behalf in option 118 (RFC 3011), and else giaddr does (RFC 2131,
// 4.3.1). A client that sends to this server alone, as it does to renew a lease, may
// be behind a router: its own address says it.
func (v *view) choose(req dhcp.Request, local *lan) (*lan, string) {
	p := req.Packet
	relay, has := dhcp.ToAddr(p.GatewayIPAddr), dhcp.ToAddr(p.ClientIPAddr)
	link, _ := dhcp.SuboptionOf(p.GetOneOption(dhcpv4.OptionRelayAgentInformation), sublinkSelection)
	subnet := p.GetOneOption(dhcpv4.OptionSubnetSelection)
	var named netip.Addr
	var reason string
	switch {
	case relay.IsValid() && len(link) == 4:
		named = dhcp.ToAddr(link)
		reason = fmt.Sprintf("relayed by %s, which says that the client is in the network of %s (option 82.5)", relay, named)
	case len(subnet) == 4:
		named = dhcp.ToAddr(subnet)
		reason = fmt.Sprintf("it asks for an address of the network %s (option 118)", named)
	case relay.IsValid():
		named = relay
		reason = fmt.Sprintf("relayed by %s", relay)
	case req.Unicast && has.IsValid():
		if l := v.at(has); l != nil {
			return l, ""
		}
		return local, ""
	default:
		return local, ""
	}
	if l := v.at(named); l != nil {
		return l, ""
	}
	if local.Mode == dhcp.Proxy {
		return local, "" // a proxy gives no addresses, so it needs to know no network
	}
	return nil, reason + ", and no such network is configured: add it to \"networks\" in cloudlets.json, with its subnet and pool"
}

// at is the network that has an address, or nil.
func (v *view) at(a netip.Addr) *lan {
	for _, l := range v.lans {
		if l.Subnet.Contains(a) {
			return l
		}
	}
	return nil
}
