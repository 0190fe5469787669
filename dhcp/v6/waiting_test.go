package v6

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp"
)

// TestWhoWaits: a client without an address is listed with the reason, until it gets one.
// Why it got none stays known.
func TestWhoWaits(t *testing.T) {
	d := newDesk(t, &dhcp.MemoryLeases{})
	l := d.link.listener
	table := d.link.lan.table
	table.pool = pool(ranges("fd77::1000-fd77::1000"))
	m, _ := d.ask(card, dhcpv6.MessageTypeSolicit, netip.Addr{})
	if len(l.Networks()[0].Waiting) != 0 || !given(m).IsValid() {
		t.Fatalf("the first client is offered %s", given(m))
	}
	for range 2 {
		d.ask(other, dhcpv6.MessageTypeSolicit, netip.Addr{})
	}
	n := l.Networks()[0]
	if len(n.Waiting) != 1 || n.Waiting[0].Requests != 2 || n.Waiting[0].Client.MAC.String() != other.String() || n.Waiting[0].Relay.IsValid() || !strings.Contains(n.Waiting[0].Reason, "no address is free") {
		t.Errorf("these wait: %+v", n.Waiting)
	}
	table.pool = pool(lab.Pool)
	if m, r := d.ask(other, dhcpv6.MessageTypeSolicit, netip.Addr{}); !given(m).IsValid() {
		t.Fatal(r.Reason)
	}
	if n := l.Networks()[0]; len(n.Waiting) != 0 || len(n.Unanswered) != 1 || n.Unanswered[0].Requests != 2 {
		t.Errorf("when it has an address, these wait: %+v; why others got none: %+v", n.Waiting, n.Unanswered)
	}
}

// TestWhoWaitsElsewhere: a client whose relay agent names a network that is not served.
func TestWhoWaitsElsewhere(t *testing.T) {
	d := newDesk(t, &dhcp.MemoryLeases{})
	forward, err := dhcpv6.EncapsulateRelay(asks(dhcpv6.MessageTypeSolicit), dhcpv6.MessageTypeRelayForward, netip.MustParseAddr("fd99::1").AsSlice(), linkLocal(card).Addr().AsSlice())
	if err != nil {
		t.Fatal(err)
	}
	agent := netip.MustParseAddrPort("[fd77::fe]:547")
	req, err := Parse(forward.ToBytes(), agent)
	if err != nil {
		t.Fatal(err)
	}
	d.link.decide(context.Background(), &packet{Request: req, client: Classify(req)})
	waits, reasons := d.link.listener.Elsewhere()
	if len(waits) != 1 || waits[0].Relay != agent.Addr() || waits[0].Client.MAC.String() != card.String() || !strings.Contains(waits[0].Reason, "fd99::1") {
		t.Errorf("these wait: %+v", waits)
	}
	if len(reasons) != 1 || reasons[0].Requests != 1 {
		t.Errorf("why they got no address: %+v", reasons)
	}
}

// TestAStoreThatFailsIsAReason for which a client waits.
func TestAStoreThatFailsIsAReason(t *testing.T) {
	d := newDesk(t, &broken{})
	m, _ := d.ask(card, dhcpv6.MessageTypeSolicit, netip.Addr{})
	d.ask(card, dhcpv6.MessageTypeRequest, given(m))
	if n := d.link.listener.Networks()[0]; len(n.Waiting) != 1 || !strings.Contains(n.Waiting[0].Reason, "could not be stored") {
		t.Errorf("these wait: %+v", n.Waiting)
	}
}
