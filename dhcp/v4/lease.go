package v4

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/table"
)

// askTable asks the lease table of a network about the address that a request is about. Packets
// on the boot port and boot-server requests are about none. If the client gives its
// address back, change is what has to be stored of that.
func (s *service) askTable(req dhcp.Request, id dhcp.Identity, l *lan) (g dhcp.Grant, change *dhcp.LeaseChange) {
	mac, ok := dhcp.StationOf(req.Client.MAC)
	t := l.table
	switch {
	case t == nil || req.Port == dhcp.BootPort || req.AsksBootServer() || !ok:
		return dhcp.Grant{}, nil
	case mac == dhcp.Station{}:
		return dhcp.Grant{Reason: "a hardware address of zeros is no client's"}, nil
	}
	switch req.Packet.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		if !s.commits.MayOffer() && !t.HasStored(mac) {
			g := dhcp.Grant{Reason: "leases cannot be stored now, so no new ones are offered"}
			s.noteUnanswered(req, &l.waiting, g.Reason)
			return g, nil
		}
		g := t.Offer(mac, dhcp.ToAddr(req.Packet.RequestedIPAddress()))
		if g.Verdict != dhcp.Granted {
			s.noteUnanswered(req, &l.waiting, g.Reason)
			return g, nil
		}
		l.waiting.End(req.Client.MAC)
		s.warnMisplaced(mac, g)
		return g, nil
	case dhcpv4.MessageTypeRequest:
		return s.handleRequest(req, id, t, mac), nil
	case dhcpv4.MessageTypeDecline:
		return s.handleDecline(req, id, t, mac)
	case dhcpv4.MessageTypeRelease:
		return s.handleRelease(req, id, t, mac)
	}
	return dhcp.Grant{}, nil
}

// warnMisplaced tells of a client that cannot get the address reserved for it.
func (s *service) warnMisplaced(mac dhcp.Station, g dhcp.Grant) {
	if g.Misplaced != "" && s.misplaced.Pass(s.server.Now()) {
		s.log.Warn("a client gets another address than the one reserved for it: mend its reservation, or end what stands in its way",
			"client", mac.String(), "address", g.Addr, "reason", g.Misplaced)
	}
}

// check looks for another station at the address that a client is offered, and
// returns the offer that is right then. It sets the client's address in req.
func (s *service) check(ctx context.Context, req *dhcp.Request, l *lan, g dhcp.Grant, answer func(dhcp.Grant) dhcp.Reply) dhcp.Reply {
	mac, _ := dhcp.StationOf(req.Client.MAC)
	g = s.lookout.settle(ctx, mac, g, func() dhcp.Grant { return l.table.Offer(mac, dhcp.ToAddr(req.Packet.RequestedIPAddress())) })
	if req.Client.Addr = g.Addr; g.Verdict != dhcp.Granted {
		s.noteUnanswered(*req, &l.waiting, g.Reason)
	}
	return answer(g)
}

// handleRequest handles a REQUEST in each of a client's states (RFC 2131,
// 4.3.2): if it answers an offer, it names the server that made the offer.
func (s *service) handleRequest(req dhcp.Request, id dhcp.Identity, t *table.Table, mac dhcp.Station) dhcp.Grant {
	chosen := dhcp.ToAddr(req.Packet.ServerIdentifier())
	if chosen.IsValid() && chosen != id.Addr {
		t.Withdraw(mac)
		return dhcp.Grant{Reason: "the client chose the server " + chosen.String()}
	}
	addr := dhcp.ToAddr(req.Packet.RequestedIPAddress())
	if !addr.IsValid() {
		addr = dhcp.ToAddr(req.Packet.ClientIPAddr)
	}
	if !addr.IsValid() {
		return dhcp.Grant{Reason: "the REQUEST names no address"}
	}
	return t.Request(mac, addr, chosen.IsValid())
}

// handleDecline handles a DECLINE: the client found another station at the
// address that it was given.
func (s *service) handleDecline(req dhcp.Request, id dhcp.Identity, t *table.Table, mac dhcp.Station) (dhcp.Grant, *dhcp.LeaseChange) {
	addr := dhcp.ToAddr(req.Packet.RequestedIPAddress())
	if chosen := dhcp.ToAddr(req.Packet.ServerIdentifier()); chosen.IsValid() && chosen != id.Addr {
		return dhcp.Grant{Reason: "it is for another server"}, nil
	}
	declined, reserved := t.Decline(mac, addr)
	if !declined {
		return dhcp.Grant{Reason: "the address is not the client's to decline"}, nil
	}
	if reserved {
		s.warnDeclined(mac, addr)
		return dhcp.Grant{Reason: addr.String() + " stays reserved for this client; another station answers at it, or somebody says so"}, nil
	}
	s.log.Warn("a client found its address in use by another station: look for one with a fixed address inside the pool",
		"client", mac.String(), "address", addr.String(), "unused for", table.Quarantine.String())
	unused := dhcp.Lease{Addr: addr, MAC: make(net.HardwareAddr, 6), Expires: s.server.Now().Add(table.Quarantine)}
	return dhcp.Grant{Reason: addr.String() + " is kept out of use for " + table.Quarantine.String()},
		&dhcp.LeaseChange{Lease: unused, Client: req.Client.MAC, Held: true}
}

// warnDeclined tells of a reserved address that its client found in use.
func (s *service) warnDeclined(mac dhcp.Station, addr netip.Addr) {
	if s.declined.Pass(s.server.Now()) {
		s.log.Warn("a client found the address that is reserved for it in use by another station: look for that one, or reserve another address",
			"client", mac.String(), "address", addr.String())
	}
}

// handleRelease handles a RELEASE: the client gives its address back.
func (s *service) handleRelease(req dhcp.Request, id dhcp.Identity, t *table.Table, mac dhcp.Station) (dhcp.Grant, *dhcp.LeaseChange) {
	addr := dhcp.ToAddr(req.Packet.ClientIPAddr)
	if chosen := dhcp.ToAddr(req.Packet.ServerIdentifier()); chosen.IsValid() && chosen != id.Addr {
		return dhcp.Grant{Reason: "it is for another server"}, nil
	}
	// A client sends it from the address itself (RFC 2131, 4.4.6).
	if from := req.Source.Addr(); from != addr {
		return dhcp.Grant{Reason: fmt.Sprintf("it comes from %s, and only a client at %s could send it", from, addr)}, nil
	}
	lease, ok := t.Release(mac, addr)
	if !ok {
		return dhcp.Grant{Reason: "the client has no such lease"}, nil
	}
	return dhcp.Grant{Reason: addr.String() + " is free again"}, &dhcp.LeaseChange{Lease: lease, Client: req.Client.MAC, Held: true}
}

// gaveBack is the reply to a client that gives an address back, which is none: an error
// is in the log. If the store knows better whose the address is, the table learns it.
func gaveBack(t *table.Table, addr netip.Addr, silence dhcp.Reply, o dhcp.LeaseOutcome, err error) dhcp.Reply {
	t.Settled(addr)
	if err == nil && !o.Made {
		t.Learn([]dhcp.Lease{o.Before}, false)
	}
	return silence
}

// bind makes a granted address the client's, and has the decision, whose reply is an
// ACK, wait until the lease would outlive a crash of the server. An ACK sent earlier
// could leave two clients with one address. answer makes the reply to another Grant.
//
// A lease that is in the store already, with nearly its whole term, is confirmed for the
// rest of that at once, also while the store fails. What [service.unstored] says of a server
// that is cut off from a shared store is true of these leases, too.
//
// If another client was quicker, here or at a server that shares the store, the
// client gets a NAK and starts again.
func (s *service) bind(d *decision, req dhcp.Request, l *lan, g dhcp.Grant, answer func(dhcp.Grant) dhcp.Reply) {
	mac, _ := dhcp.StationOf(req.Client.MAC)
	hostname := cmp.Or(req.Client.Hostname, g.Hostname)
	if rest, young := l.table.Young(mac, g, hostname); young {
		g.Term, g.Reason = rest, "lease confirmed, which the client got a short time ago"
		d.reply = answer(g)
		l.waiting.End(req.Client.MAC)
		return
	}
	lease, left, ok := l.table.Bind(mac, g)
	if !ok {
		d.reply = answer(l.table.Lost(mac, g))
		return
	}
	lease.Hostname = hostname
	ack := d.reply
	d.change = &dhcp.LeaseChange{Lease: lease, Client: lease.MAC, Left: left}
	d.stored = func(o dhcp.LeaseOutcome, err error) dhcp.Reply {
		l.table.Settled(lease.Addr, left)
		switch {
		case err != nil:
			return s.unstored(req, l, g, left, answer, err)
		case !o.Made:
			l.table.Concede(mac, o.Before)
			l.table.Unbind(mac, g.Addr, left)
			return answer(l.table.Lost(mac, g))
		}
		l.waiting.End(req.Client.MAC)
		ack.NewLease = o.IsNew(lease.MAC, s.server.Now())
		return ack
	}
}

// unstored is the reply to a client whose lease cannot be stored. One that it has in the
// store is confirmed for the rest of its term. That is right as long as no other server
// can reach the store either: one that is cut off alone does not hear that its client
// gave the lease back elsewhere.
func (s *service) unstored(req dhcp.Request, l *lan, g dhcp.Grant, left netip.Addr, answer func(dhcp.Grant) dhcp.Reply, cause error) dhcp.Reply {
	mac, _ := dhcp.StationOf(req.Client.MAC)
	rest := l.table.Unbind(mac, g.Addr, left)
	if rest < minRest {
		s.noteUnanswered(req, &l.waiting, "the lease could not be stored")
		return dhcp.NoReply("the lease could not be stored: %s", cause)
	}
	g.Term, g.Reason = rest, fmt.Sprintf("lease confirmed for the rest of its term, since it cannot be stored: %s", cause)
	return answer(g)
}

// minRest is the shortest rest of a lease that is worth confirming.
const minRest = 10 * time.Second
