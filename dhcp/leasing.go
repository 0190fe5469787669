package dhcp

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// lease asks the lease table what it says to a request. Packets on the boot
// port and boot-server requests are not about addresses.
func (l *link) lease(ctx context.Context, req Request, id Identity, t *table) Grant {
	mac, ok := stationOf(req.Client.MAC)
	switch {
	case l.iface.Mode == Proxy || req.Port == BootPort || asksBootServer(req) || !ok:
		return Grant{}
	case t == nil:
		g := noNetwork(req)
		l.warnNoAddress(mac, g)
		return g
	}
	p := req.Packet
	switch p.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		g := t.offer(mac, toAddr(p.RequestedIPAddress()))
		if g.Verdict != Granted {
			l.warnNoAddress(mac, g)
		}
		return g
	case dhcpv4.MessageTypeRequest:
		return l.requested(req, id, t, mac)
	case dhcpv4.MessageTypeDecline:
		return l.declined(ctx, req, id, t, mac)
	case dhcpv4.MessageTypeRelease:
		return l.released(ctx, req, id, t, mac)
	}
	return Grant{}
}

// noNetwork is the word on clients behind a relay that nobody configured.
func noNetwork(req Request) Grant {
	relay := toAddr(req.Packet.GatewayIPAddr)
	return Grant{Reason: fmt.Sprintf("relayed by %s, for whose network there is no pool: configure that network", relay)}
}

func (l *link) warnNoAddress(mac station, g Grant) {
	if l.noAddress.pass(l.server.Now()) {
		l.log.Warn("no address for a client", "client", mac.String(), "reason", g.Reason)
	}
}

// requested handles a REQUEST in each of a client's states (RFC 2131, 4.3.2):
// one that answers an offer names the server that made it, the others do not.
func (l *link) requested(req Request, id Identity, t *table, mac station) Grant {
	chosen := toAddr(req.Packet.ServerIdentifier())
	if chosen.IsValid() && chosen != id.Addr {
		t.withdraw(mac)
		return Grant{Reason: "the client chose the server " + chosen.String()}
	}
	addr := toAddr(req.Packet.RequestedIPAddress())
	if !addr.IsValid() {
		addr = toAddr(req.Packet.ClientIPAddr)
	}
	if !addr.IsValid() {
		return Grant{Reason: "the REQUEST names no address"}
	}
	return t.request(mac, addr, chosen.IsValid())
}

func (l *link) declined(ctx context.Context, req Request, id Identity, t *table, mac station) Grant {
	addr := toAddr(req.Packet.RequestedIPAddress())
	if chosen := toAddr(req.Packet.ServerIdentifier()); chosen.IsValid() && chosen != id.Addr {
		return Grant{Reason: "it is for another server"}
	}
	if !t.decline(mac, addr) {
		return Grant{Reason: "the address is not the client's to decline"}
	}
	l.log.Warn("a client found its address in use by another station: look for one with a fixed address inside the pool",
		"client", mac.String(), "address", addr.String(), "unused for", quarantine.String())
	l.store(ctx, nil, addr)
	return Grant{Reason: addr.String() + " is kept out of use for " + quarantine.String()}
}

func (l *link) released(ctx context.Context, req Request, id Identity, t *table, mac station) Grant {
	addr := toAddr(req.Packet.ClientIPAddr)
	if chosen := toAddr(req.Packet.ServerIdentifier()); chosen.IsValid() && chosen != id.Addr {
		return Grant{Reason: "it is for another server"}
	}
	lease, ok := t.release(mac, addr)
	if !ok {
		return Grant{Reason: "the client has no such lease"}
	}
	l.store(ctx, &lease, netip.Addr{})
	return Grant{Reason: addr.String() + " is free again"}
}

// bind makes a granted address the client's. The ACK goes out only when the
// lease outlives a crash of the server: else two clients could come to have
// one address.
func (l *link) bind(ctx context.Context, req Request, t *table, g Grant, ack Reply) Reply {
	mac, _ := stationOf(req.Client.MAC)
	lease, left, ok := t.bind(mac, g)
	if !ok {
		return silence("%s was given to another client meanwhile", g.Addr)
	}
	if lease.Hostname == "" {
		lease.Hostname = req.Client.Hostname
	}
	if err := l.store(ctx, &lease, left); err != nil {
		return silence("the lease could not be stored: %s", err)
	}
	return ack
}

// store makes a change durable.
func (l *link) store(ctx context.Context, put *Lease, drop netip.Addr) error {
	err := l.commits.commit(ctx, put, drop)
	if err != nil && ctx.Err() == nil {
		l.log.Error("the lease store failed: see that its disk is there and not full", "error", err)
	}
	return err
}
