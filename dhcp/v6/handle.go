package v6

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// errUnstored says why nothing is offered after a write of leases failed.
var errUnstored = errors.New("the lease store does not take leases now")

// received reads a packet and has it wait for a worker.
func (k *link) received(data []byte, at arrivedAt) {
	defer k.survive(data, at)
	req, err := k.parse(data, at)
	if err != nil {
		k.log.Debug("DHCPv6 packet ignored", "from", at.from.String(), "error", err)
		return
	}
	client := Classify(req)
	if k.lan.Mode == dhcp.Proxy {
		k.askers.complete(req, &client, k.listener.server.Now())
	}
	p := packet{req, client, at, bytes.Clone(data)}
	registry, ok := k.listener.server.Booter.(dhcp.Registry)
	k.queue.put(p, ok && registry.Known(p.client.MAC))
}

// parse reads a packet, if it comes from where clients and relay agents are.
func (k *link) parse(data []byte, at arrivedAt) (Request, error) {
	if err := k.checkSource(at, isRelay(data)); err != nil {
		return Request{}, err
	}
	req, err := Parse(data, at.from)
	req.Port = at.port
	return req, err
}

// checkSource refuses packets of clients that are not on the link. They send from a
// link-local address (RFC 8415, 15), and only UEFI's PXE asks on the boot port from the
// address that it got. A relay agent may be anywhere.
func (k *link) checkSource(at arrivedAt, relayed bool) error {
	from := at.from.Addr()
	switch {
	case at.from.Port() == 0:
		return errors.New("it comes from port 0")
	case relayed && at.port == ServerPort, from.IsLinkLocalUnicast():
		return nil
	case at.port == BootPort && k.lan.Subnet.Contains(from):
		return nil
	}
	return fmt.Errorf("%s is no address from which a client on the link asks", from)
}

// survive, when it is deferred, has a panic cost one packet, so that the server goes on.
func (k *link) survive(data []byte, at arrivedAt) {
	if v := recover(); v != nil && k.panicked.Pass(k.listener.server.Now()) {
		k.log.Error("a DHCPv6 packet was dropped because of a fault in this program; please report this line",
			"from", at.from.String(), "panic", v, "packet", fmt.Sprintf("%x", data), "stack", string(debug.Stack()))
	}
}

// work handles packets until ctx ends. It finishes the packet that it is handling then.
func (k *link) work(ctx context.Context) {
	for ctx.Err() == nil {
		if p, ok := k.queue.Next(ctx); ok {
			k.handle(context.WithoutCancel(ctx), p)
			k.queue.end(p)
		}
	}
}

// handle answers one packet.
func (k *link) handle(ctx context.Context, p packet) {
	defer k.survive(p.raw, p.at)
	reply := k.decide(ctx, &p)
	if reply.Message != nil {
		if err := k.send(p, reply.Message); err != nil {
			k.log.Error("DHCPv6 answer not sent", "client", p.client.MAC.String(), "error", err)
			reply = silence("the answer could not be sent: %s", err)
		}
	}
	k.report(p, reply)
}

// decide decides the reply to a packet, and stores what it promises.
func (k *link) decide(ctx context.Context, p *packet) Reply {
	s := k.listener.server
	if r, ok := s.Booter.(dhcp.Recogniser); ok {
		r.Recognise(p.client)
	}
	is := k.now()
	n, unknown := k.choose(p.Request)
	if n == nil {
		k.noteUnanswered(*p, &k.listener.elsewhere, unknown)
		return silence("%s", unknown)
	}
	if is.iface == nil {
		return silence("the interface is gone")
	}
	id := Identity{DUID: is.duid(), TFTP: k.iface.TFTP, Network: n.Network}
	if !id.TFTP.IsValid() {
		id.TFTP = is.own
	}
	p.client.Server = is.own
	if chosen := p.Message.Options.ServerID(); chosen != nil && !chosen.Equal(id.DUID) {
		if mac, ok := dhcp.StationOf(p.client.MAC); ok && n.table != nil {
			n.table.withdraw(mac)
		}
		return Answer(p.Request, p.client, id, Grant{}, dhcp.Boot{})
	}
	var g Grant
	if n.table != nil {
		var err error
		if g, err = k.lease(p, n.table); err != nil {
			k.noteUnanswered(*p, &n.waiting, "the lease could not be stored")
			return silence("%s", err) // the client keeps what it has, and asks again
		}
	}
	switch {
	case g.Addr.IsValid():
		p.client.Addr = g.Addr
		n.waiting.End(p.client.MAC)
	case n.table != nil:
		k.noteUnanswered(*p, &n.waiting, g.Reason)
	}
	reply := Answer(p.Request, p.client, id, g, k.boot(ctx, *p, n, g))
	reply.NewLease = g.NewLease
	return reply
}

// noteUnanswered notes that a client got no address, if it asked for one.
func (k *link) noteUnanswered(p packet, w *serving.WaitingList, reason string) {
	switch p.Message.MessageType {
	case dhcpv6.MessageTypeSolicit, dhcpv6.MessageTypeRequest:
	default:
		return // it has an address
	}
	if _, ok := dhcp.StationOf(p.client.MAC); !ok || len(p.Message.Options.IANA()) == 0 {
		return
	}
	now := k.listener.server.Now()
	w.Add(p.client, p.relay(), reason, now)
	if k.noAddress.Pass(now) {
		k.log.Warn("no IPv6 address for a client", "client", p.client.MAC.String(), "reason", reason)
	}
}

// boot asks what a client boots, if the reply could say so.
func (k *link) boot(ctx context.Context, p packet, n *lan, g Grant) dhcp.Boot {
	asksAddress := p.Message.MessageType != dhcpv6.MessageTypeInformationRequest
	if p.client.Kind == dhcp.Plain || n.Mode == dhcp.Off || n.Mode == dhcp.Pool && asksAddress && !g.Addr.IsValid() {
		return dhcp.Boot{}
	}
	return k.listener.server.Booter.Boot(ctx, p.client)
}

// choose finds the network that a client is on: that which its relay agents name, or
// else that of the interface. If it is not served, it returns nil and says why.
func (k *link) choose(req Request) (*lan, string) {
	at := req.link()
	if !at.IsValid() {
		return k.lan, ""
	}
	if n := k.listener.at(at); n != nil {
		return n, ""
	}
	return nil, fmt.Sprintf("relayed for the link of %s, and no such network is configured: add it to \"networks\" in cloudlets.json, with its subnet and pool", at)
}

// lease asks the lease table about the address that a packet is about, and stores what
// follows. An error means that it could not be stored.
func (k *link) lease(p *packet, t *table) (Grant, error) {
	mac, ok := dhcp.StationOf(p.client.MAC)
	if !ok {
		return Grant{Reason: "the client cannot be told from others: it has no identifier"}, nil
	}
	asks := len(p.Message.Options.IANA()) > 0
	switch m := p.Message.MessageType; {
	case !asks:
		return Grant{Reason: "it asks for no address"}, nil
	case m == dhcpv6.MessageTypeSolicit:
		if !k.listener.commits.MayOffer() {
			return Grant{}, errUnstored
		}
		return t.offer(mac, p.client.Addr), nil
	case m == dhcpv6.MessageTypeRequest && !p.client.Addr.IsValid():
		g := t.offer(mac, p.client.Addr)
		if !g.Addr.IsValid() {
			return g, nil
		}
		return k.bind(p, t, mac, g.Addr)
	case m == dhcpv6.MessageTypeRequest, m == dhcpv6.MessageTypeRenew, m == dhcpv6.MessageTypeRebind:
		if !p.client.Addr.IsValid() {
			return Grant{Reason: "it names no address"}, nil
		}
		return k.bind(p, t, mac, p.client.Addr)
	case m == dhcpv6.MessageTypeRelease, m == dhcpv6.MessageTypeDecline:
		return k.giveBack(t, mac, p.client.Addr, m == dhcpv6.MessageTypeDecline)
	}
	return Grant{}, nil
}

// bind gives a client an address that it names, if it may have it.
func (k *link) bind(p *packet, t *table, mac dhcp.Station, addr netip.Addr) (Grant, error) {
	g, change := t.request(mac, addr)
	if !g.Addr.IsValid() {
		return g, nil
	}
	change.Lease.Hostname = p.client.Hostname
	outcome, err := k.listener.commits.Commit(change)
	switch {
	case err != nil:
		return Grant{}, err
	case outcome.Made:
		t.learn([]dhcp.Lease{change.Lease}, false)
		g.NewLease = outcome.IsNew(change.Lease.MAC, k.listener.server.Now())
		return g, nil
	}
	t.learn([]dhcp.Lease{outcome.Before}, false)
	return Grant{Refused: addr, Reason: fmt.Sprintf("%s was given to another client meanwhile", addr)}, nil
}

// giveBack handles a Release or a Decline.
func (k *link) giveBack(t *table, mac dhcp.Station, addr netip.Addr, declined bool) (Grant, error) {
	change, ok := t.giveBack(mac, addr, declined)
	if !ok {
		return Grant{Reason: fmt.Sprintf("%s is not the client's", addr)}, nil
	}
	outcome, err := k.listener.commits.Commit(change)
	if err != nil {
		return Grant{}, err
	}
	if outcome.Made {
		t.learn([]dhcp.Lease{change.Lease}, false)
	}
	if !declined {
		return Grant{Reason: fmt.Sprintf("%s is free again", addr)}, nil
	}
	k.log.Warn("a client found its address in use by another station: look for one with a fixed address inside the pool", "client", mac.String(), "address", addr.String())
	return Grant{Reason: fmt.Sprintf("%s is kept out of use for %s, unless it is reserved for the client", addr, quarantine)}, nil
}

// repeats are when an answer on the boot port is sent again. EDK2 listens there only
// after it has asked, asks once, and waits for 3 s: a slow machine misses an answer that
// is quick.
var repeats = [...]time.Duration{100 * time.Millisecond, 500 * time.Millisecond}

// maxRepeats is how many answers may wait to be sent again on an interface.
const maxRepeats = 4096

// send sends a reply to a packet.
func (k *link) send(p packet, m *dhcpv6.Message) error {
	data, to := p.wrap(m).ToBytes(), p.replyTo()
	if _, err := p.at.conn.WriteToUDPAddrPort(data, to); err != nil || p.at.port != BootPort {
		return err
	}
	for _, after := range repeats {
		if !k.repeating.Enter() {
			break
		}
		time.AfterFunc(after, func() {
			defer k.repeating.Leave()
			_, _ = p.at.conn.WriteToUDPAddrPort(data, to) // the first one was sent, and a failure of the interface is told by its reader
		})
	}
	return nil
}

// report tells the log and the observer what became of a packet.
func (k *link) report(p packet, r Reply) {
	e := dhcp.Exchange{Client: p.client, Request: p.Message.MessageType.String(), File: r.URL, Reason: r.Reason, NewLease: r.NewLease}
	if r.Message != nil {
		e.Reply, e.Addr = r.Message.MessageType.String(), given(r.Message)
	}
	k.log.Debug("DHCPv6", "request", e.Request, "reply", e.Reply, "client", e.Client.MAC.String(),
		"kind", e.Client.Kind.String(), "address", e.Addr, "file", e.File, "reason", e.Reason)
	if s := k.listener.server; s.Observe != nil {
		s.Observe(e)
	}
}
