package v4

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/table"
)

// cluster is some servers of one network that share a lease store. They have no
// sockets: a test asks each of them.
type cluster struct {
	t     *testing.T
	store dhcp.LeaseStore
	pool  dhcp.Range
	clock *dhcptest.Clock
	log   dhcptest.Log

	mu   sync.Mutex
	live []string // sorted
	all  map[string]*service
}

func newCluster(t *testing.T, store dhcp.LeaseStore, first, last byte, ids ...string) *cluster {
	c := &cluster{t: t, store: store, pool: dhcp.Range{First: dhcptest.IP(first), Last: dhcptest.IP(last)}, clock: dhcptest.NewClock(), live: ids, all: map[string]*service{}}
	for i, id := range ids {
		c.start(id, byte(1+i))
	}
	return c
}

// start starts a server with an address. If one with that ID ran, it is gone.
func (c *cluster) start(id string, last byte) {
	f := newFakeSystem()
	f.addrs = []netip.Prefix{netip.PrefixFrom(dhcptest.IP(last), 24)}
	s := &Server{
		Interfaces: []Interface{{Name: "eth9", Network: dhcp.Network{Pool: dhcp.Ranges{c.pool}, LeaseTime: time.Hour}}},
		Leases:     c.store, Now: c.clock.Now, Log: c.log.Logger(), system: f,
		Members: func() (string, []string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return id, c.live
		},
	}
	l, err := s.Listen(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.commits.Run()
	}()
	c.t.Cleanup(func() {
		l.commits.End()
		<-ended
		l.Close()
	})
	c.all[id] = l.links[0].service
}

func (c *cluster) setLive(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = ids
}

// ask puts a packet to a server. The reply is nil if there is none.
func (c *cluster) ask(id string, m dhcp.Station, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	return c.send(id, false, m, kind, more...)
}

// send is ask, for a packet that may be for that server alone.
func (c *cluster) send(id string, unicast bool, m dhcp.Station, kind dhcpv4.MessageType, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	p, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(m[:]), dhcpv4.WithMessageType(kind), dhcpv4.WithBroadcast(true)}, more...)...)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	req := dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: dhcp.ServerPort, Source: netip.AddrPortFrom(source(p), dhcp.ClientPort), Unicast: unicast}
	s := c.all[id]
	if s.leftTo(req) != "" {
		return nil
	}
	d := s.decide(context.Background(), &req)
	if d.change != nil {
		return d.stored(s.commits.Commit(*d.change)).Packet
	}
	return d.reply.Packet
}

// source is where a client sends a packet from.
func source(p *dhcpv4.DHCPv4) netip.Addr {
	if a := dhcp.ToAddr(p.ClientIPAddr); a.IsValid() {
		return a
	}
	return netip.IPv4Unspecified()
}

func (c *cluster) discover(id string, m dhcp.Station, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	return c.ask(id, m, dhcpv4.MessageTypeDiscover, more...)
}

// waitsLong is a packet's count of seconds that all servers answer.
func waitsLong(p *dhcpv4.DHCPv4) { p.NumSeconds = 60 }

// take takes an offer, and returns the answer.
func (c *cluster) take(id string, m dhcp.Station, offer *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	return c.ask(id, m, dhcpv4.MessageTypeRequest,
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier())), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr)))
}

// accept takes an offer, and returns whether it was confirmed.
func (c *cluster) accept(id string, m dhcp.Station, offer *dhcpv4.DHCPv4) bool {
	reply := c.take(id, m, offer)
	return reply != nil && reply.MessageType() == dhcpv4.MessageTypeAck
}

// TestOneMemberAnswers each client at once, and each about its part of them.
func TestOneMemberAnswers(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 250, "a", "b", "c")
	answered := map[string]int{}
	for n := range byte(150) {
		var by []string
		for id := range c.all {
			if c.discover(id, dhcptest.MAC(n)) != nil {
				by = append(by, id)
			}
		}
		if len(by) != 1 {
			t.Fatalf("client %d is answered by %v", n, by)
		}
		answered[by[0]]++
	}
	for id, n := range answered {
		if n < 25 || n > 75 {
			t.Errorf("%s answers %d of 150 clients", id, n)
		}
	}
}

// TestADeadMemberIsCovered although it is still taken for alive: whether the client
// counts the seconds or not.
func TestADeadMemberIsCovered(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 250, "a", "b")
	var m dhcp.Station
	for n := byte(1); ; n++ { // a client of b, which is dead
		if m = dhcptest.MAC(n); c.discover("a", m) == nil {
			break
		}
	}
	if c.discover("a", m, func(p *dhcpv4.DHCPv4) { p.NumSeconds = 8 }) == nil {
		t.Error("a client that counts seconds is not answered")
	}
	if c.discover("a", m) != nil {
		t.Error("a client that asks again at once is answered")
	}
	c.clock.Forward(4 * time.Second)
	offer := c.discover("a", m)
	if offer == nil || !c.accept("a", m, offer) {
		t.Fatal("a client that asks again gets no address")
	}
	c.clock.Forward(4 * time.Second)
	if c.discover("a", m) != nil {
		t.Error("after it got an answer the client is answered at once")
	}
}

// TestThePoolIsUsedToItsEnd by servers that share it.
func TestThePoolIsUsedToItsEnd(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 99, "a", "b", "c")
	got := map[string]bool{}
	for n := range byte(90) {
		m := dhcptest.MAC(n)
		for id := range c.all {
			if offer := c.discover(id, m); offer != nil && c.accept(id, m, offer) {
				got[offer.YourIPAddr.String()] = true
			}
		}
	}
	if len(got) != 90 {
		t.Errorf("%d of 90 addresses were given out", len(got))
	}
	// One server is left, and the leases end: all of them are its own now.
	c.setLive("a")
	c.clock.Forward(2 * time.Hour)
	clear(got)
	for n := range byte(90) {
		m := dhcptest.MAC(100 + n)
		if offer := c.discover("a", m); offer != nil && c.accept("a", m, offer) {
			got[offer.YourIPAddr.String()] = true
		}
	}
	if len(got) != 90 {
		t.Errorf("the last server gave out %d of 90 addresses", len(got))
	}
}

// TestTwoServersOfferOneAddress: the second client that takes it is told to start
// again, and gets another one.
func TestTwoServersOfferOneAddress(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 11, "a", "b")
	want := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress([]byte{10, 0, 0, 10}))
	first, second := c.discover("a", dhcptest.MAC(1), waitsLong, want), c.discover("b", dhcptest.MAC(2), waitsLong, want)
	if first == nil || second == nil || !first.YourIPAddr.Equal(second.YourIPAddr) {
		t.Fatalf("offers %v, %v", first, second)
	}
	if !c.accept("a", dhcptest.MAC(1), first) {
		t.Fatal("the first client gets nothing")
	}
	reply := c.take("b", dhcptest.MAC(2), second)
	if reply == nil || reply.MessageType() != dhcpv4.MessageTypeNak {
		t.Errorf("the second client is told %v", reply)
	}
	if again := c.discover("b", dhcptest.MAC(2), waitsLong); again == nil || !c.accept("b", dhcptest.MAC(2), again) || again.YourIPAddr.Equal(second.YourIPAddr) {
		t.Errorf("after that it is offered %v", again)
	}
}

// TestALostClaimIsLearned, though the store tells of no change: the client is told
// who has the address, and is not offered it again.
func TestALostClaimIsLearned(t *testing.T) {
	c := newCluster(t, lateStore{&dhcp.MemoryLeases{}}, 10, 11, "a", "b")
	want := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress([]byte{10, 0, 0, 10}))
	if first := c.discover("a", dhcptest.MAC(1), waitsLong, want); first == nil || !c.accept("a", dhcptest.MAC(1), first) {
		t.Fatal("the first client gets nothing")
	}
	offer := c.discover("b", dhcptest.MAC(2), waitsLong, want)
	if offer == nil || !offer.YourIPAddr.Equal([]byte{10, 0, 0, 10}) {
		t.Fatalf("the second client is offered %v", offer)
	}
	nak := c.take("b", dhcptest.MAC(2), offer)
	if nak == nil || nak.MessageType() != dhcpv4.MessageTypeNak || !strings.Contains(nak.Message(), dhcptest.MAC(1).String()) {
		t.Errorf("the second client is told %v", nak)
	}
	if again := c.discover("b", dhcptest.MAC(2), waitsLong); again == nil || !c.accept("b", dhcptest.MAC(2), again) {
		t.Errorf("after that it is offered %v", again)
	}
}

// TestOnlyTheHolderGivesBack: a server that has not heard of a lease yet takes
// neither a release nor a decline of the client that had the address before.
func TestOnlyTheHolderGivesBack(t *testing.T) {
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline} {
		store := &dhcp.MemoryLeases{}
		c := newCluster(t, lateStore{store}, 10, 10, "a", "b")
		if offer := c.discover("a", dhcptest.MAC(1), waitsLong); offer == nil || !c.accept("a", dhcptest.MAC(1), offer) {
			t.Fatal("the first client gets nothing")
		}
		c.clock.Forward(time.Hour)
		if offer := c.discover("b", dhcptest.MAC(2), waitsLong); offer == nil || !c.accept("b", dhcptest.MAC(2), offer) {
			t.Fatal("the second client gets nothing")
		}
		c.ask("a", dhcptest.MAC(1), kind, func(p *dhcpv4.DHCPv4) { p.ClientIPAddr = []byte{10, 0, 0, 10} },
			dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress([]byte{10, 0, 0, 10})))
		if all := dhcptest.Stored(store); len(all) != 1 || all[0].MAC.String() != dhcptest.MAC(2).String() || !all[0].Expires.After(c.clock.Now().Add(table.Quarantine)) {
			t.Errorf("after a %s of the first client the leases are %v", kind, all)
		}
	}
}

// TestAQuarantineIsShared: what a client found in use at one server is offered by
// none.
func TestAQuarantineIsShared(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 10, "a", "b")
	if offer := c.discover("a", dhcptest.MAC(1), waitsLong); offer == nil || !c.accept("a", dhcptest.MAC(1), offer) {
		t.Fatal("the client gets nothing")
	}
	c.ask("a", dhcptest.MAC(1), dhcpv4.MessageTypeDecline, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress([]byte{10, 0, 0, 10})))
	for id := range c.all {
		for n := range byte(2) {
			if offer := c.discover(id, dhcptest.MAC(n), waitsLong); offer != nil {
				t.Errorf("%s offers %s", id, offer.YourIPAddr)
			}
		}
	}
	c.clock.Forward(table.Quarantine)
	if offer := c.discover("b", dhcptest.MAC(2), waitsLong); offer == nil || !c.accept("b", dhcptest.MAC(2), offer) {
		t.Error("after its end nobody gets the address")
	}
}

// TestALeaseIsKnownToAll: each server offers a client the address that it has,
// whoever gave it.
func TestALeaseIsKnownToAll(t *testing.T) {
	c := newCluster(t, &dhcp.MemoryLeases{}, 10, 250, "a", "b", "c")
	for n := range byte(30) {
		first := c.discover("a", dhcptest.MAC(n), waitsLong)
		if first == nil || !c.accept("a", dhcptest.MAC(n), first) {
			t.Fatal("a client gets nothing")
		}
		for id := range c.all {
			if again := c.discover(id, dhcptest.MAC(n), waitsLong); again == nil || !again.YourIPAddr.Equal(first.YourIPAddr) {
				t.Errorf("%s offers %v to the client with %s", id, again, first.YourIPAddr)
			}
		}
	}
}

// TestWhoAnswersARequest for a lease that the client has: a renewal is answered by
// whom it was sent to. When it asks all, its own member answers, and the others if
// the client asks in vain.
func TestWhoAnswersARequest(t *testing.T) {
	has := func(p *dhcpv4.DHCPv4) { p.ClientIPAddr = []byte{10, 0, 0, 10} }
	relayed := func(p *dhcpv4.DHCPv4) { has(p); p.GatewayIPAddr = []byte{10, 0, 0, 200} }
	wants := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress([]byte{10, 0, 0, 10}))
	for _, test := range []struct {
		name    string
		unicast bool
		what    dhcpv4.Modifier
		again   time.Duration // when the client asks again
		once    bool          // whether a is to answer at once
	}{
		{"RENEWING", true, has, 0, true},
		{"REBINDING", false, has, 4 * time.Minute, false},
		{"REBINDING behind a relay", true, relayed, 4 * time.Minute, false},
		{"INIT-REBOOT", false, wants, 4 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, &dhcp.MemoryLeases{}, 10, 250, "a", "b")
			var m dhcp.Station
			for n := byte(1); ; n++ { // a client of b
				if m = dhcptest.MAC(n); c.discover("a", m) == nil {
					break
				}
			}
			c.all["a"].waits.Forget(m)
			ask := func(id string) *dhcpv4.DHCPv4 {
				return c.send(id, test.unicast, m, dhcpv4.MessageTypeRequest, test.what)
			}
			if reply := ask("b"); reply == nil || reply.MessageType() != dhcpv4.MessageTypeAck {
				t.Errorf("its own member answers %v", reply)
			}
			if reply := ask("a"); (reply != nil) != test.once {
				t.Errorf("the other member answers %v", reply)
			}
			c.clock.Forward(test.again)
			if ask("a") == nil {
				t.Error("the other member does not answer a client that asks again")
			}
		})
	}
}

// TestEveryClientIsServed although one of three servers is dead, and is still listed:
// clients count seconds or not, and ask again like firmware does.
func TestEveryClientIsServed(t *testing.T) {
	for name, count := range map[string]uint16{"seconds are counted": 1, "seconds are 0": 0} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, &dhcp.MemoryLeases{}, 10, 69, "a", "b", "c")
			got := map[string]bool{}
			for n := range byte(60) {
				addr := c.boot(dhcptest.MAC(n), count, "a", "c")
				if addr == "" {
					t.Errorf("client %d gets no address", n)
				}
				got[addr] = true
			}
			if len(got) != 60 {
				t.Errorf("60 clients have %d addresses", len(got))
			}
		})
	}
}

// boot has a client ask again until one of the servers gives it an address, which it
// returns. count is by how much the client's seconds grow in each second.
func (c *cluster) boot(m dhcp.Station, count uint16, ids ...string) string {
	var secs uint16
	for _, pause := range []uint16{4, 8, 16, 32} {
		for _, id := range ids {
			offer := c.discover(id, m, func(p *dhcpv4.DHCPv4) { p.NumSeconds = secs * count })
			if offer != nil && c.accept(id, m, offer) {
				return offer.YourIPAddr.String()
			}
		}
		c.clock.Forward(time.Duration(pause) * time.Second)
		secs += pause
	}
	return ""
}

// lateStore tells its followers of nothing, as if what others write came late.
type lateStore struct{ dhcp.LeaseStore }

func (s lateStore) Follow(ctx context.Context, told func([]dhcp.Lease, bool)) (func(), error) {
	return s.LeaseStore.Follow(ctx, func(leases []dhcp.Lease, all bool) {
		if all {
			told(leases, all)
		}
	})
}

// TestNoAddressIsGivenTwice, whoever asks whom, also when servers hear of each
// other's leases too waitsLong, and come and go.
func TestNoAddressIsGivenTwice(t *testing.T) {
	for name, store := range map[string]dhcp.LeaseStore{"told": &dhcp.MemoryLeases{}, "told too late": lateStore{&dhcp.MemoryLeases{}}} {
		t.Run(name, func(t *testing.T) {
			ids := []string{"a", "b", "c"}
			c := newCluster(t, store, 10, 59, ids...)
			var mu sync.Mutex
			holders := map[string]dhcp.Station{}
			var clients sync.WaitGroup
			for n := range byte(60) {
				clients.Go(func() {
					m := dhcptest.MAC(n)
					for range 20 {
						if n == 0 {
							c.setLive(slices.Sorted(slices.Values(ids[:1+rand.IntN(3)]))...)
						}
						id := ids[rand.IntN(3)]
						offer := c.discover(id, m, func(p *dhcpv4.DHCPv4) { p.NumSeconds = uint16(rand.IntN(2) * 60) })
						if offer == nil || !c.accept(id, m, offer) {
							continue
						}
						addr := offer.YourIPAddr.String()
						mu.Lock()
						if other, taken := holders[addr]; taken && other != m {
							t.Errorf("%s was given to %s and to %s", addr, other, m)
						}
						holders[addr] = m
						mu.Unlock()
						return // it keeps its address, as its lease has not ended
					}
				})
			}
			clients.Wait()
			if len(holders) < 40 {
				t.Errorf("only %d of 50 addresses were given out", len(holders))
			}
		})
	}
}

// TestTheStoreIsAway: leases that are stored are confirmed while they last, and no
// longer; nothing new is given; and both is said once.
func TestTheStoreIsAway(t *testing.T) {
	store := &brokenStore{}
	c := newCluster(t, store, 10, 20, "a")
	offer := c.discover("a", dhcptest.MAC(1))
	if offer == nil || !c.accept("a", dhcptest.MAC(1), offer) {
		t.Fatal("no lease")
	}
	renew := func() *dhcpv4.DHCPv4 {
		return c.ask("a", dhcptest.MAC(1), dhcpv4.MessageTypeRequest, func(p *dhcpv4.DHCPv4) { p.ClientIPAddr = offer.YourIPAddr })
	}
	store.broken.Store(true)
	c.clock.Forward(40 * time.Minute)
	for range 3 {
		reply := renew()
		if reply == nil || reply.MessageType() != dhcpv4.MessageTypeAck || reply.IPAddressLeaseTime(0) != 20*time.Minute {
			t.Fatalf("a renewal: %v", reply)
		}
	}
	if c.discover("a", dhcptest.MAC(2)) != nil {
		t.Error("a new client is offered an address that it cannot get")
	}
	if c.discover("a", dhcptest.MAC(1)) == nil {
		t.Error("a client with a lease is offered nothing")
	}
	c.clock.Forward(21 * time.Minute)
	if reply := renew(); reply != nil {
		t.Errorf("after its end a lease is confirmed: %v", reply)
	}
	store.broken.Store(false)
	c.clock.Forward(5 * time.Second)
	if again := c.discover("a", dhcptest.MAC(2)); again == nil || !c.accept("a", dhcptest.MAC(2), again) {
		t.Error("after the store is back a new client gets nothing")
	}
	for _, what := range []string{`msg="leases cannot be stored`, `msg="leases can be stored again`} {
		if lines := c.log.Lines(what); len(lines) != 1 {
			t.Errorf("the log says %q: %q", what, lines)
		}
	}
}
