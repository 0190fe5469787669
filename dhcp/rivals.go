package dhcp

import (
	"context"
	"slices"
	"strings"
	"time"
)

// rivalTime is how often a server looks for others that give out addresses.
const rivalTime = 10 * time.Minute

// watchRivals looks for other DHCP servers on the network when serving starts and
// from time to time, and warns of them, until ctx ends.
func (s *service) watchRivals(ctx context.Context) error {
	for ctx.Err() == nil {
		s.lookForRivals(ctx)
		s.server.system.pause(ctx, rivalTime)
	}
	return nil
}

func (s *service) lookForRivals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	self, _ := s.members.now()
	found, err := s.prober.probe(ctx, self)
	if err != nil {
		s.log.Debug("cannot look for other DHCP servers", "error", err)
		return
	}
	for _, other := range found {
		switch {
		case other.Server == s.iface.Addr:
		case other.Proxy():
			s.log.Warn("another server on this network names boot files: machines may boot from it instead; switch it off here", "server", other.Server, "file", other.File)
		default:
			s.log.Warn("another DHCP server answers on this network: two servers give machines conflicting addresses; use --dhcp proxy, or switch the other one off", "server", other.Server, "offered", other.Offered)
		}
	}
}

// isFellow says whether a packet is the probe of a server that shares the leases with
// this one.
func (m members) isFellow(c Client) bool {
	id, probes := strings.CutPrefix(c.UserClass, proberClass)
	if !probes {
		return false
	}
	_, live := m.now()
	return slices.Contains(live, id)
}
