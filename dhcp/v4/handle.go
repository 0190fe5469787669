package v4

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/serving"
)

// handle takes one packet from its bytes to its answer, or to where its answer
// waits for the lease store.
func (s *service) handle(ctx context.Context, sock *socket, a ether.Datagram) {
	defer s.survive(a)
	p, err := dhcp.Parse(a.Data)
	if err != nil {
		s.ignore(a, err)
		return
	}
	req := dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: sock.port, Source: a.From, Unicast: a.Unicast}
	if other := s.leftTo(req); other != "" {
		s.log.Debug("DHCP packet left to another server", "client", req.Client.MAC.String(), "server", other)
		return
	}
	if s.isFellow(req.Client) {
		return
	}
	s.askers.complete(&req, s.server.Now())
	d := s.decide(ctx, &req)
	switch {
	case d.check != nil && s.checking.Try(func() {
		defer s.survive(a)
		s.conclude(sock, req, d.id, d.check())
	}):
	case d.change == nil:
		s.conclude(sock, req, d.id, d.reply)
	default:
		s.store(sock, a, req, d)
	}
}

// store has a change of the leases written, and sends the reply once it is. Packets that
// come after this one, and promise nothing, do not wait for that.
func (s *service) store(sock *socket, a ether.Datagram, req dhcp.Request, d decision) {
	conclude := func(o dhcp.LeaseOutcome, err error) {
		defer s.survive(a)
		if errors.Is(err, serving.ErrCrowded) {
			s.warnDropped(sock)
		}
		s.conclude(sock, req, d.id, d.stored(o, err))
	}
	if !s.storing.Enter() {
		conclude(dhcp.LeaseOutcome{}, serving.ErrCrowded)
		return
	}
	s.commits.Submit(*d.change, func(o dhcp.LeaseOutcome, err error) {
		s.stored <- func() {
			defer s.storing.Leave()
			conclude(o, err)
		}
	})
}

// ignore tells of a packet that is not answered, since it cannot be read.
func (s *service) ignore(a ether.Datagram, err error) {
	if errors.Is(err, dhcp.ErrHardware) && s.hardware.Pass(s.server.Now()) {
		s.log.Warn("a client of another kind of network is not served; have it boot from an Ethernet interface", "from", a.From.String(), "error", err)
		return
	}
	s.log.Debug("packet ignored", "from", a.From.String(), "error", err)
}

// survive, when it is deferred, has a panic cost one packet, so that the server goes
// on.
func (s *service) survive(a ether.Datagram) {
	if v := recover(); v != nil && s.panicked.Pass(s.server.Now()) {
		s.log.Error("a DHCP packet was dropped because of a fault in this program; please report this line",
			"from", a.From.String(), "panic", v, "packet", fmt.Sprintf("%x", a.Data), "stack", string(debug.Stack()))
	}
}

// conclude sends a reply, and tells of it.
func (s *service) conclude(sock *socket, req dhcp.Request, id dhcp.Identity, reply dhcp.Reply) {
	if reply.Packet != nil {
		if err := s.send(sock, id, reply); err != nil {
			s.log.Error("answer not sent", "client", req.Client.MAC.String(), "error", err)
			reply = dhcp.NoReply("the answer could not be sent: %s", err)
		}
	}
	s.report(req, reply)
}
