package v4

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// laggingStore tells its followers of changes when the test says so. Some writes
// fail, and of these some are made all the same. A store that is away is so for all
// servers, so they have been told by then of what was written before.
type laggingStore struct {
	dhcp.MemoryLeases
	told []func()
	r    *rand.Rand // nil when no write fails
}

func (s *laggingStore) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	fault := 9
	if s.r != nil {
		fault = s.r.IntN(10)
	}
	if fault < 2 {
		s.tell(len(s.told))
	}
	if fault == 0 {
		return nil, errors.New("the store is away")
	}
	outcomes, err := s.MemoryLeases.Commit(ctx, now, changes)
	if fault == 1 {
		return nil, errors.New("the store did not answer")
	}
	return outcomes, err
}

func (s *laggingStore) Follow(ctx context.Context, told func([]dhcp.Lease, bool)) (func(), error) {
	return s.MemoryLeases.Follow(ctx, func(leases []dhcp.Lease, all bool) {
		if all {
			slices.SortFunc(leases, func(a, b dhcp.Lease) int { return a.Addr.Compare(b.Addr) }) // so that a seed is one order
			told(leases, all)
		} else {
			s.told = append(s.told, func() { told(leases, all) })
		}
	})
}

// tell tells of the first n changes.
func (s *laggingStore) tell(n int) {
	for _, told := range s.told[:n] {
		told()
	}
	s.told = s.told[n:]
}

// history is some hours of a network, as a seed has them.
type history struct {
	*cluster
	t       *testing.T
	seed    uint64
	r       *rand.Rand
	lagging *laggingStore
	ids     []string
	offers  map[dhcp.Station]*dhcpv4.DHCPv4
	holders map[netip.Addr]holder
}

// holder is the client that was told last that it has an address.
type holder struct {
	dhcp.Station
	until time.Time
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), ids: []string{"a", "b", "c"},
		offers: map[dhcp.Station]*dhcpv4.DHCPv4{}, holders: map[netip.Addr]holder{},
	}
	h.lagging = &laggingStore{r: h.r}
	h.cluster = newCluster(t, h.lagging, 10, 17, h.ids...)
	return h
}

// TestNoAddressIsGivenTwiceInAnyOrder of what clients, servers and the store do: a
// client that was told that it has an address is the only one until its lease ends,
// or it gives the address back. In the end no address is lost.
func TestNoAddressIsGivenTwiceInAnyOrder(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(t, seed)
		for range 300 {
			h.step()
		}
		h.finish()
	}
}

func (h *history) step() {
	n, m := h.r.IntN(len(h.ids)), dhcptest.MAC(byte(h.r.IntN(12)))
	switch h.r.IntN(10) {
	case 0, 1, 2:
		if offer := h.discover(h.ids[n], m, waitsLong); offer != nil {
			h.offers[m] = offer
		}
	case 3, 4, 5:
		h.takeOffer(m)
	case 6:
		h.use(h.ids[n], m)
	case 7:
		h.lagging.tell(h.r.IntN(len(h.lagging.told) + 1))
	case 8:
		h.clock.Forward(time.Duration(h.r.IntN(30)) * time.Minute)
	case 9:
		if h.r.IntN(3) == 0 {
			h.start(h.ids[n], byte(1+n))
		}
		h.setLive(slices.Sorted(slices.Values(h.ids[:1+h.r.IntN(len(h.ids))]))...)
	}
}

// takeOffer has a client take the offer that it got, if any. It has no address then
// (RFC 2131, figure 5).
func (h *history) takeOffer(m dhcp.Station) {
	offer := h.offers[m]
	if offer == nil {
		return
	}
	delete(h.offers, m)
	maps.DeleteFunc(h.holders, func(_ netip.Addr, has holder) bool { return has.Station == m })
	h.note(m, h.take(h.ids[offer.ServerIdentifier()[3]-1], m, offer))
}

// use has a client that has an address release, decline or renew it.
func (h *history) use(id string, m dhcp.Station) {
	for a := h.pool.First; h.pool.Contains(a); a = a.Next() {
		if has := h.holders[a]; has.Station != m || !has.until.After(h.clock.Now()) {
			continue
		}
		at := func(p *dhcpv4.DHCPv4) { p.ClientIPAddr = a.AsSlice() }
		switch h.r.IntN(4) {
		case 0:
			h.send(id, true, m, dhcpv4.MessageTypeRelease, at)
			delete(h.holders, a)
		case 1:
			h.send(id, false, m, dhcpv4.MessageTypeDecline, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(a.AsSlice())))
			delete(h.holders, a)
		default:
			h.note(m, h.send(id, true, m, dhcpv4.MessageTypeRequest, at))
		}
		return
	}
}

// note takes note of what a client was told.
func (h *history) note(m dhcp.Station, reply *dhcpv4.DHCPv4) {
	if reply == nil || reply.MessageType() != dhcpv4.MessageTypeAck {
		return
	}
	a, now := dhcp.ToAddr(reply.YourIPAddr), h.clock.Now()
	if has := h.holders[a]; has.Station != m && has.until.After(now) {
		h.t.Fatalf("seed %d: %s is given to %s, and is that of %s for %s more", h.seed, a, m, has.Station, has.until.Sub(now))
	}
	h.holders[a] = holder{m, now.Add(reply.IPAddressLeaseTime(0))}
}

// finish has new clients take all addresses, after all leases have ended.
func (h *history) finish() {
	h.lagging.tell(len(h.lagging.told))
	h.lagging.r = nil
	h.clock.Forward(2 * time.Hour)
	got := map[string]bool{}
	for n := range byte(8) {
		id, m := h.ids[h.r.IntN(len(h.ids))], dhcptest.MAC(100+n)
		if offer := h.discover(id, m, waitsLong); offer != nil && h.accept(id, m, offer) {
			got[offer.YourIPAddr.String()] = true
		}
		h.lagging.tell(len(h.lagging.told))
	}
	if len(got) != 8 {
		h.t.Errorf("seed %d: in the end %d of 8 addresses can be given out", h.seed, len(got))
	}
}
