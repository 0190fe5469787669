package v4

import (
	"context"
	"slices"
	"sync"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ether"
)

const (
	// rivalTime is how often a server looks for others that give out addresses.
	rivalTime = 10 * time.Minute
	// rivalPatience is how long it listens for their answers then. dnsmasq first looks for
	// 3 s whether a station has the address that it is about to offer.
	rivalPatience = 6 * time.Second
	// rivalSpan is how long one that is seen no more is remembered.
	rivalSpan = 24 * time.Hour
	// maxRivals bounds those that are remembered for each network. All of them
	// together take less than 10 kB.
	maxRivals = 16
)

// Rival is another DHCP server or proxy that answers on a network.
type Rival struct {
	ether.Found
	// Interface is where this server has seen it.
	Interface string
	// Since and Last are when it was seen first and last. A server looks for others
	// when it starts, and every ten minutes.
	Since, Last time.Time
	// Answers says that it answered when this server looked last.
	Answers bool
}

// rivals are the other servers of a network. The zero value is empty.
type rivals struct {
	mu     sync.Mutex
	all    []Rival
	looked time.Time
}

// note notes the servers that answered now.
func (r *rivals) note(found []ether.Found, iface string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = now
	for _, f := range found {
		r.saw(f, iface, now)
	}
}

// saw notes a server that answered now. The caller holds mu.
func (r *rivals) saw(f ether.Found, iface string, now time.Time) {
	since := now
	r.all = slices.DeleteFunc(r.all, func(known Rival) bool {
		same := known.SameServer(f) && known.Interface == iface
		if same {
			since = known.Since
		}
		return same || now.Sub(known.Last) > rivalSpan
	})
	r.all = append([]Rival{{Found: f, Interface: iface, Since: since, Last: now}}, r.all[:min(len(r.all), maxRivals-1)]...)
}

// list returns those that are remembered, the one that was seen last first.
func (r *rivals) list(now time.Time) []Rival {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Rival
	for _, known := range r.all {
		if known.Answers = known.Last.Equal(r.looked); now.Sub(known.Last) <= rivalSpan {
			all = append(all, known)
		}
	}
	return all
}

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
	ctx, cancel := context.WithTimeout(ctx, rivalPatience)
	defer cancel()
	self, _ := s.members.Now()
	found, err := s.prober.Probe(ctx, self)
	if err != nil {
		s.log.Debug("cannot look for other DHCP servers", "error", err)
		return
	}
	found = slices.DeleteFunc(slices.Clone(found), func(other ether.Found) bool { return other.Server == s.iface.Addr })
	s.lan.rivals.note(found, s.iface.Name, s.server.Now())
	for _, other := range found {
		switch {
		case other.Proxy():
			s.log.Warn("another server on this network names boot files: machines may boot from it instead; switch it off here", "server", other.Server, "file", other.File)
		default:
			s.log.Warn("another DHCP server answers on this network: two servers give machines conflicting addresses; use --dhcp proxy, or switch the other one off", "server", other.Server, "offered", other.Offered)
		}
	}
}

// isFellow says whether a packet is the probe of a server that shares the leases with
// this one.
func (s *service) isFellow(c dhcp.Client) bool {
	id, probes := ether.ProberOf(c)
	_, live := s.members.Now()
	return probes && slices.Contains(live, id)
}
