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

// origin is who named a name server. The first ones count most.
type origin int

const (
	fromLease4 origin = iota
	fromLease6
	fromRouter // RFC 8106
	origins
)

// nameservers writes the name servers that the network names to a file, in the form
// of resolv.conf(5).
type nameservers struct {
	file string // "" for none
	log  *slog.Logger

	mu    sync.Mutex
	known [origins][]netip.Addr
}

// set replaces the name servers of an origin. A failure is only a warning, since
// most servers are known by their address.
func (n *nameservers) set(o origin, servers []netip.Addr) {
	if n.file == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Equal(n.known[o], servers) {
		return
	}
	n.known[o] = servers
	var text strings.Builder
	var all []netip.Addr
	for _, server := range slices.Concat(n.known[:]...) {
		if !slices.Contains(all, server) && len(all) < maxNameservers {
			all = append(all, server)
		}
	}
	for _, server := range all {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	err := os.MkdirAll(filepath.Dir(n.file), 0o755)
	if err == nil {
		err = os.WriteFile(n.file, []byte(text.String()), 0o644)
	}
	if err != nil {
		n.log.Warn("the network's name servers cannot be written; servers are found only by their address", "file", n.file, "error", err)
	}
}

// hosts returns the addresses that a name server can have. Those of a link get the
// zone of the interface.
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
