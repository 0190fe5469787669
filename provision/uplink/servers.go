package uplink

import (
	"net"
	"net/url"
	"slices"

	"github.com/vishvananda/netlink"
)

// servers are the hosts of the servers that the machine must reach.
type servers struct {
	four, six []net.IP
	// named says that at least one is known by its name, so that either version of
	// IP may lead to it.
	named bool
}

// readServers reads the hosts of base URLs. It ignores what is no URL.
func readServers(bases []string) servers {
	var s servers
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil {
			continue
		}
		host := u.Hostname()
		ip := net.ParseIP(host)
		switch {
		case ip == nil:
			s.named = s.named || host != ""
		case ip.To4() != nil:
			s.four = append(s.four, ip.To4())
		default:
			s.six = append(s.six, ip)
		}
	}
	return s
}

// routed says whether a route leads to one of the addresses.
func routed(ips []net.IP) bool {
	return slices.ContainsFunc(ips, func(ip net.IP) bool {
		found, err := netlink.RouteGet(ip)
		return err == nil && len(found) > 0
	})
}
