package daemon

import (
	"context"
	"net"
	"net/netip"

	"cloudlets/images/jsontext"
	"cloudlets/provision/site"
)

// Misplaced lists the machines whose address is not one that the server can give
// them: see [site.Site.Misplaced]. own is the server's address and its subnet. A server
// that gives no addresses has no such machines.
func Misplaced(s *site.Site, settings site.Settings, own netip.Prefix) jsontext.Problems {
	if settings.DHCP.Off || settings.DHCP.Proxy || !own.IsValid() {
		return nil
	}
	taken := map[netip.Addr]string{}
	for _, a := range settings.DNS {
		taken[a] = "a name server's"
	}
	taken[settings.Router] = "the router's"
	addrs, _ := net.InterfaceAddrs() // without them, the server's own address still counts
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			taken[p.Addr()] = "this server's own"
		}
	}
	taken[own.Addr()] = "this server's own"
	return s.Misplaced([]site.Served{{Subnet: own, Taken: taken}})
}

// warnMisplaced logs which machines' addresses cannot be given, when the server starts
// and after each change of the site that brings other ones.
func (d *Daemon) warnMisplaced(ctx context.Context) error {
	changes := d.Site.Changes(ctx)
	for told := map[jsontext.Problem]bool{}; ; {
		found := map[jsontext.Problem]bool{}
		for _, p := range Misplaced(d.Site, d.Settings, d.addr) {
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
