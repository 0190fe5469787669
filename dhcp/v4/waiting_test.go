package v4

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestWhoWaits: a client without an address is listed with the reason, until it
// gets one.
func TestWhoWaits(t *testing.T) {
	i := poolInterface()
	i.Network.Pool[0].Last = i.Network.Pool[0].First
	b := startBed(t, i, nil)
	l := b.listener
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	b.got()
	late := dhcptest.SampleNamed(t, "bios-pxe-discover")
	b.put(late)
	b.put(late)
	waits := l.Networks()[0].Waiting
	if len(waits) != 1 || waits[0].Requests != 2 || !strings.Contains(waits[0].Reason, "no address is free") || waits[0].Client.MAC.String() != late.Req.Client.MAC.String() {
		t.Errorf("these wait: %+v", waits)
	}
	stranger := dhcptest.SampleNamed(t, "relayed-discover")
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
	b.put(dhcptest.SampleNamed(t, "udhcpc-discover"))
	late, stranger := dhcptest.SampleNamed(t, "bios-pxe-discover"), dhcptest.SampleNamed(t, "relayed-discover")
	b.put(late)
	b.put(late)
	b.put(stranger)
	b.end()
	now = now.Add(time.Hour)
	n := b.listener.Networks()[0]
	if len(n.Waiting) != 0 || len(n.Unanswered) != 1 {
		t.Fatalf("after an hour %+v wait, and these had no answer: %+v", n.Waiting, n.Unanswered)
	}
	if u := n.Unanswered[0]; u.Requests != 2 || !strings.Contains(u.Reason, "no address is free") || u.Client.String() != late.Req.Client.MAC.String() || !u.Last.Equal(time.Unix(1e9, 0)) {
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
	s := dhcptest.SampleNamed(t, "udhcpc-discover")
	offered := b.put(s).Addr
	s.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	s.Req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress(offered.AsSlice()))
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
	dhcp.MemoryLeases
	broken atomic.Bool
}

func (l *brokenLeases) Commit(ctx context.Context, now time.Time, changes []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	if l.broken.Load() {
		return nil, errors.New("the disk is full")
	}
	return l.MemoryLeases.Commit(ctx, now, changes)
}
