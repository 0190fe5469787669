package dhcp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestWhoWaits: a client without an address is listed with the reason, until it
// gets one.
func TestWhoWaits(t *testing.T) {
	i := poolInterface()
	i.Network.Pool[0].Last = i.Network.Pool[0].First
	b := startBed(t, i, nil)
	l := b.listener
	b.put(sampleNamed(t, "udhcpc-discover"))
	b.got()
	late := sampleNamed(t, "bios-pxe-discover")
	b.put(late)
	b.put(late)
	waits := l.Networks()[0].Waiting
	if len(waits) != 1 || waits[0].Requests != 2 || !strings.Contains(waits[0].Reason, "no address is free") || waits[0].Client.MAC.String() != late.req.Client.MAC.String() {
		t.Errorf("these wait: %+v", waits)
	}
	stranger := sampleNamed(t, "relayed-discover")
	b.put(stranger)
	if waits, _ := l.Elsewhere(); len(waits) != 1 || !waits[0].Relay.IsValid() {
		t.Errorf("of other networks there wait %+v", waits)
	}
}

// TestWhyNobodyCouldAnswer: how often and why requests got no address stays known when
// their clients have one, or have gone.
func TestWhyNobodyCouldAnswer(t *testing.T) {
	i := poolInterface()
	i.Network.Pool[0].Last = i.Network.Pool[0].First
	now := time.Unix(1e9, 0)
	b := startBed(t, i, func(s *Server) { s.Now = func() time.Time { return now } })
	b.put(sampleNamed(t, "udhcpc-discover"))
	late, stranger := sampleNamed(t, "bios-pxe-discover"), sampleNamed(t, "relayed-discover")
	b.put(late)
	b.put(late)
	b.put(stranger)
	b.end()
	now = now.Add(time.Hour)
	n := b.listener.Networks()[0]
	if len(n.Waiting) != 0 || len(n.Unanswered) != 1 {
		t.Fatalf("after an hour %+v wait, and these had no answer: %+v", n.Waiting, n.Unanswered)
	}
	if u := n.Unanswered[0]; u.Requests != 2 || !strings.Contains(u.Reason, "no address is free") || u.Client.String() != late.req.Client.MAC.String() || !u.Last.Equal(time.Unix(1e9, 0)) {
		t.Errorf("requests without an answer: %+v", u)
	}
	_, elsewhere := b.listener.Elsewhere()
	if len(elsewhere) != 1 || elsewhere[0].Requests != 1 || !elsewhere[0].Relay.IsValid() {
		t.Errorf("of other networks: %+v", elsewhere)
	}
}

// TestStoreThatFailsIsAReason: a client that gets no address since its lease cannot be
// stored is listed, until it gets one.
func TestStoreThatFailsIsAReason(t *testing.T) {
	leases := &brokenLeases{}
	b := startBed(t, poolInterface(), func(s *Server) { s.Leases = leases })
	s := sampleNamed(t, "udhcpc-discover")
	offered := b.put(s).Addr
	s.req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	s.req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress(offered.AsSlice()))
	leases.broken.Store(true)
	b.put(s)
	if n := b.listener.Networks()[0]; len(n.Waiting) != 1 || len(n.Unanswered) != 1 || !strings.Contains(n.Unanswered[0].Reason, "could not be stored") {
		t.Errorf("while the store fails: %+v", n)
	}
	leases.broken.Store(false)
	if e := b.put(s); e.Reply != "ACK" {
		t.Fatalf("exchange %+v", e)
	}
	if n := b.listener.Networks()[0]; len(n.Waiting) != 0 || len(n.Unanswered) != 1 {
		t.Errorf("when it is back: %+v", n)
	}
}

// brokenLeases is a lease store that can be made to fail.
type brokenLeases struct {
	MemoryLeases
	broken atomic.Bool
}

func (l *brokenLeases) Commit(ctx context.Context, now time.Time, changes []LeaseChange) ([]LeaseOutcome, error) {
	if l.broken.Load() {
		return nil, errors.New("the disk is full")
	}
	return l.MemoryLeases.Commit(ctx, now, changes)
}

// TestReasonsAreBounded: further ones replace that whose last request is the oldest.
func TestReasonsAreBounded(t *testing.T) {
	var w waiting
	req := Request{Packet: &dhcpv4.DHCPv4{}, Client: Client{MAC: []byte{2, 0, 0, 0, 0, 1}}}
	now := time.Unix(1e9, 0)
	for i := range 3 * maxReasons {
		now = now.Add(time.Second)
		w.add(req, fmt.Sprintf("relayed by network %d", i), now)
		w.add(req, "full", now)
	}
	all := w.unanswered()
	if len(all) != maxReasons || all[0].Reason != "full" || all[0].Requests != 3*maxReasons || all[1].Reason != fmt.Sprintf("relayed by network %d", 3*maxReasons-1) {
		t.Errorf("%d reasons: %+v", len(all), all)
	}
}

// TestWaitingIsBounded: a flood of clients does not grow the list.
func TestWaitingIsBounded(t *testing.T) {
	var w waiting
	now := time.Unix(1e9, 0)
	for i := range 3 * maxWaitingClients {
		p := &dhcpv4.DHCPv4{}
		w.add(Request{Packet: p, Client: Client{MAC: []byte{2, 0, 0, 0, byte(i >> 8), byte(i)}}}, "full", now.Add(time.Duration(i)))
	}
	if all := w.list(now.Add(time.Minute)); len(all) != maxWaitingClients || all[0].Client.MAC[5] != byte(3*maxWaitingClients-1) {
		t.Errorf("%d are listed, the last is %v", len(all), all[0].Client.MAC)
	}
	if all := w.list(now.Add(time.Hour)); len(all) != 0 {
		t.Errorf("%d still wait after an hour", len(all))
	}
}
