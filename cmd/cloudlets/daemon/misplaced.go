//go:build linux

package daemon

import (
	"context"
	"net"
	"net/netip"

	"cloudlets/images/jsontext"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
)

// Misplaced lists the machines whose address is not one that the server can give
// them: see [site.Site.Misplaced]. A server that gives no addresses, or does not know
// all its networks yet, has no such machines.
func Misplaced(s *site.Site, settings keys.Settings) jsontext.Problems {
	host, _ := net.InterfaceAddrs() // without them, the server's own addresses still count
	var served []site.Served
	for _, n := range settings.Served() {
		if n.DHCP.Off || n.DHCP.Proxy {
			continue
		}
		taken := map[netip.Addr]string{n.Router: "the router's"}
		for _, a := range n.DNS {
			taken[a] = "a name server's"
		}
		for _, a := range host {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				taken[p.Addr()] = "this server's own"
			}
		}
		subnet := n.Subnet
		if n.Interface != "" {
			own, err := InterfaceAddr(n)
			if err != nil {
				return nil
			}
			subnet, taken[own.Addr()] = own, "this server's own"
		}
		served = append(served, site.Served{Subnet: subnet, Taken: taken})
	}
	if served == nil {
		return nil
	}
	return s.Misplaced(served)
}

// warnMisplaced logs which machines' addresses cannot be given, when the server starts
// and after each change of the site that brings other ones.
func (d *Daemon) warnMisplaced(ctx context.Context) error {
	changes := d.Site.Changes(ctx)
	for told := map[jsontext.Problem]bool{}; ; {
		found := map[jsontext.Problem]bool{}
		for _, p := range Misplaced(d.Site, d.Settings) {
			if found[p] = true; !told[p] {
				d.Log.Warn("a machine's address cannot be given", "problem", p.Error())
			}
		}
		told = found
		if _, more := <-changes; !more {
			return nil
		}
	}
}
