package dhcp

import (
	"bytes"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// addRoutes adds the classless static routes (option 121, RFC 3442) that lead to the
// [Network.Services], if the client asks for that option. Clients that take it ignore the
// option for routers, so the default route is among them.
func addRoutes(p *dhcpv4.DHCPv4, req Request, id Identity) {
	const code = dhcpv4.OptionClasslessStaticRoute
	gateway := id.Addr
	if !id.Subnet.Contains(gateway) { // the client is behind a relay
		gateway = id.Router
	}
	asked := req.Packet.GetOneOption(dhcpv4.OptionParameterRequestList)
	if len(id.Services) == 0 || !gateway.IsValid() || bytes.IndexByte(asked, code.Code()) < 0 {
		return
	}
	// Routes that a person wrote say themselves what the default is.
	routes := bytes.Clone(p.GetOneOption(code))
	if len(routes) == 0 && id.Router.IsValid() {
		routes = appendRoute(routes, netip.PrefixFrom(netip.IPv4Unspecified(), 0), id.Router)
	}
	for _, a := range id.Services {
		routes = appendRoute(routes, netip.PrefixFrom(a, 32), gateway)
	}
	setOption(p, code, routes)
}

// appendRoute adds a route as option 121 has it: the width of the destination, those of
// its bytes that count, and the router.
func appendRoute(b []byte, to netip.Prefix, by netip.Addr) []byte {
	destination := to.Masked().Addr().As4()
	b = append(b, byte(to.Bits()))
	b = append(b, destination[:(to.Bits()+7)/8]...)
	return append(b, by.AsSlice()...)
}
