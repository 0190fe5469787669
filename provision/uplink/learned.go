package uplink

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// maxNameservers is how many name servers a resolver asks (MAXNS of resolv.conf(5)).
const maxNameservers = 3

// origin is who named a server. The first ones count most.
type origin int

const (
	fromLease4 origin = iota
	fromLease6
	fromRouter // RFC 8106
	origins
)

// learned are the servers that the network names.
type learned struct {
	resolver string // the file that gets the name servers, or "" for none
	log      *slog.Logger

	mu          sync.Mutex
	nameServers [origins][]netip.Addr
	timeServers [origins][]netip.Addr
}

// times sets the NTP servers of an origin.
func (l *learned) times(o origin, servers []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeServers[o] = servers
}

// allTimes returns the NTP servers.
func (l *learned) allTimes() []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return distinct(l.timeServers)
}

// names sets the name servers of an origin, and writes the resolver's file in the
// form of resolv.conf(5). A failure is only a warning, since most servers are known
// by their address.
func (l *learned) names(o origin, servers []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resolver == "" || slices.Equal(l.nameServers[o], servers) {
		return
	}
	l.nameServers[o] = servers
	var text strings.Builder
	all := distinct(l.nameServers)
	for _, server := range all[:min(len(all), maxNameservers)] {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	err := os.MkdirAll(filepath.Dir(l.resolver), 0o755)
	if err == nil {
		err = os.WriteFile(l.resolver, []byte(text.String()), 0o644)
	}
	if err != nil {
		l.log.Warn("the network's name servers cannot be written; servers are found only by their address", "file", l.resolver, "error", err)
	}
}

// distinct returns the servers of all origins, each once.
func distinct(known [origins][]netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, server := range slices.Concat(known[:]...) {
		if !slices.Contains(all, server) {
			all = append(all, server)
		}
	}
	return all
}

// hosts returns the addresses that a server can have. Those of a link get the zone
// of the interface.
func hosts(servers []net.IP, zone string) []netip.Addr {
	var all []netip.Addr
	for _, ip := range servers {
		a, ok := netip.AddrFromSlice(ip)
		if a = a.Unmap(); !ok || a.IsUnspecified() || a.IsMulticast() {
			continue
		}
		if a.IsLinkLocalUnicast() && a.Is6() {
			a = a.WithZone(zone)
		}
		all = append(all, a)
	}
	return all
}
