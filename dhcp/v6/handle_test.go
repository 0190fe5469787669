package v6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// desk is a server without sockets.
type desk struct {
	*testing.T
	link *link
}

// newDesk makes a server of the network lab that keeps its leases in a store.
func newDesk(t *testing.T, store dhcp.LeaseStore) desk {
	t.Helper()
	s := (&Server{Leases: store}).withDefaults()
	n, err := s.newLAN(t.Context(), lab)
	if err != nil {
		t.Fatal(err)
	}
	l := &Listener{server: s, lans: []*lan{n}, commits: serving.NewCommitter(store, s.Now, s.Log, "none are given")}
	k := newLink(l, Interface{Name: "eth1", Network: lab}, n)
	k.state = state{&net.Interface{HardwareAddr: other}, own}
	l.links = []*link{k}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.commits.Run()
	}()
	t.Cleanup(func() {
		l.commits.End()
		<-done
		_ = l.Close() // no socket is open
	})
	return desk{t, k}
}

// ask puts a client's message to the server. address is what it names, if valid.
func (d desk) ask(mac net.HardwareAddr, kind dhcpv6.MessageType, address netip.Addr) (*dhcpv6.Message, Reply) {
	d.Helper()
	var options []dhcpv6.Option
	if address.IsValid() {
		ia := &dhcpv6.OptIANA{IaId: [4]byte{1}}
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: address.AsSlice()})
		options = append(options, ia)
	}
	if kind != dhcpv6.MessageTypeSolicit && kind != dhcpv6.MessageTypeRebind {
		options = append(options, dhcpv6.OptServerID(d.link.now().duid()))
	}
	req, err := Parse(asks(kind, options...).ToBytes(), linkLocal(mac))
	if err != nil {
		d.Fatal(err)
	}
	r := d.link.decide(context.Background(), &packet{Request: req, client: Classify(req)})
	return r.Message, r
}

// stored are the leases of a store, by their addresses.
func stored(t *testing.T, store dhcp.LeaseStore) map[netip.Addr]dhcp.Lease {
	t.Helper()
	all := map[netip.Addr]dhcp.Lease{}
	stop, err := store.Follow(t.Context(), func(list []dhcp.Lease, _ bool) {
		for _, l := range list {
			all[l.Addr] = l
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	return all
}

// TestLeaseIsStored when the client hears of it, is prolonged, outlives the server, and
// ends when the client says so.
func TestLeaseIsStored(t *testing.T) {
	store := &dhcp.MemoryLeases{}
	d := newDesk(t, store)
	m, _ := d.ask(card, dhcpv6.MessageTypeSolicit, netip.Addr{})
	a := given(m)
	if len(stored(t, store)) != 0 || !a.IsValid() {
		t.Fatalf("offered %s, stored %v", a, stored(t, store))
	}
	for _, kind := range []dhcpv6.MessageType{dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind} {
		m, r := d.ask(card, kind, a)
		if m == nil || given(m) != a || stored(t, store)[a].MAC.String() != card.String() {
			t.Fatalf("%s: %s; stored %v", kind, r.Reason, stored(t, store))
		}
	}
	again := newDesk(t, store)
	if m, _ := again.ask(other, dhcpv6.MessageTypeSolicit, a); given(m) == a {
		t.Error("after a restart, another client is offered the address")
	}
	if m, _ := again.ask(card, dhcpv6.MessageTypeSolicit, netip.Addr{}); given(m) != a {
		t.Errorf("after a restart, the client is offered %s and not %s", given(m), a)
	}
	if _, r := again.ask(other, dhcpv6.MessageTypeRelease, a); !strings.Contains(r.Reason, "is not the client's") {
		t.Errorf("another client gave the address back: %s", r.Reason)
	}
	again.ask(card, dhcpv6.MessageTypeRelease, a)
	if stored(t, store)[a].Expires.After(time.Now()) {
		t.Error("the lease goes on after its client gave it back")
	}
}

// TestFaultCostsOnePacket: a fault in the handling of a packet, or in the writing of what
// it has in it, ends neither its worker nor the program.
func TestFaultCostsOnePacket(t *testing.T) {
	d := newDesk(t, &dhcp.MemoryLeases{})
	var words strings.Builder
	d.link.log = slog.New(slog.NewTextHandler(&words, nil))
	raw := asks(dhcpv6.MessageTypeSolicit).ToBytes()
	for name, m := range map[string]*dhcpv6.Message{
		"no message":               nil,
		"a name that is not there": asks(dhcpv6.MessageTypeInformationRequest, &dhcpv6.OptFQDN{}),
	} {
		d.link.panicked = serving.Throttle{}
		words.Reset()
		func() {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("%s ends the worker: %v", name, v)
				}
			}()
			d.link.handle(t.Context(), packet{Request: Request{Message: m, Source: linkLocal(card), Port: ServerPort}, raw: raw})
		}()
		if m == nil && !strings.Contains(words.String(), fmt.Sprintf("packet=%x", raw)) {
			t.Errorf("of %s, the log has no packet to report:\n%s", name, words.String())
		}
	}
}

// broken is a store that takes no leases.
type broken struct{ dhcp.MemoryLeases }

func (*broken) Commit(context.Context, time.Time, []dhcp.LeaseChange) ([]dhcp.LeaseOutcome, error) {
	return nil, errors.New("the disk is full")
}

// TestNothingIsPromisedUnstored: a client whose lease cannot be stored hears nothing,
// so it keeps what it has and asks again.
func TestNothingIsPromisedUnstored(t *testing.T) {
	d := newDesk(t, &broken{})
	m, _ := d.ask(card, dhcpv6.MessageTypeSolicit, netip.Addr{})
	if m, r := d.ask(card, dhcpv6.MessageTypeRequest, given(m)); m != nil || r.Reason != "the disk is full" {
		t.Errorf("a Request was answered: %s", r.Reason)
	}
	if m, r := d.ask(other, dhcpv6.MessageTypeSolicit, netip.Addr{}); m != nil {
		t.Errorf("an address is offered that cannot be given: %s", r.Reason)
	}
}

// TestTwoServers that share a store never give one address to two clients, although
// the second has not heard yet of the first one's lease.
func TestTwoServers(t *testing.T) {
	store := &dhcp.MemoryLeases{}
	first, second := newDesk(t, store), newDesk(t, store)
	second.link.lan.unfollow()
	a := netip.MustParseAddr("fd77::1005")
	if m, r := first.ask(card, dhcpv6.MessageTypeRequest, a); given(m) != a {
		t.Fatal(r.Reason)
	}
	m, r := second.ask(other, dhcpv6.MessageTypeRequest, a)
	if status := m.Options.OneIANA().Options.Status(); given(m).IsValid() || status.StatusCode != iana.StatusNoAddrsAvail {
		t.Errorf("the second server gives %s: %s", given(m), r.Reason)
	}
	if m, r := second.ask(other, dhcpv6.MessageTypeSolicit, a); given(m) == a {
		t.Errorf("the second server still offers it: %s", r.Reason)
	}
}

// TestSources: a client on the link asks from a link-local address. Whoever sends much
// does not drive out the others.
func TestSources(t *testing.T) {
	d := newDesk(t, &dhcp.MemoryLeases{})
	for source, want := range map[string]bool{
		"[fe80::1]:546": true, "[fd77::5]:546": false, "[2001:db8::1]:546": false, "[fe80::1]:0": false,
	} {
		at := arrivedAt{from: netip.MustParseAddrPort(source), port: ServerPort}
		if _, err := d.link.parse(asks(dhcpv6.MessageTypeSolicit).ToBytes(), at); (err == nil) != want {
			t.Errorf("from %s: %v", source, err)
		}
		if _, err := d.link.parse([]byte("no DHCPv6"), at); !want && !(strings.Contains(err.Error(), "no address") || strings.Contains(err.Error(), "port 0")) {
			t.Errorf("from %s, a packet was read before its source was looked at: %v", source, err)
		}
	}
	for source, want := range map[string]bool{"[fd77::5]:4011": true, "[2001:db8::1]:4011": false} {
		at := arrivedAt{from: netip.MustParseAddrPort(source), port: BootPort}
		if _, err := d.link.parse(asks(dhcpv6.MessageTypeSolicit).ToBytes(), at); (err == nil) != want {
			t.Errorf("on the boot port, from %s: %v", source, err)
		}
	}
	q := newQueue(d.link.log, time.Now)
	for range 2 * serving.MaxWaiting {
		q.put(packet{Request: Request{Source: linkLocal(card)}}, false)
	}
	q.put(packet{Request: Request{Source: linkLocal(other)}}, false)
	for range maxPerSource {
		if p, _ := q.Next(t.Context()); p.Source != linkLocal(card) {
			t.Fatalf("a packet of %s waits among those of the flood", p.Source)
		}
	}
	if p, _ := q.Next(t.Context()); p.Source != linkLocal(other) {
		t.Errorf("after %d packets of the flood, there waits another of %s", maxPerSource, p.Source)
	}
}
