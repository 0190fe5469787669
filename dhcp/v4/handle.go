package v4

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// handle takes one packet from its bytes to its answer, or to where its answer
// waits for the lease store.
func (s *service) handle(ctx context.Context, sock *socket, a arrival) {
	defer s.survive(a)
	p, err := dhcp.Parse(a.data)
	if err != nil {
		s.ignore(a, err)
		return
	}
	req := dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: sock.port, Source: a.from, Unicast: a.unicast}
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
	case d.check != nil && s.goOn(s.checking, a, func() { s.conclude(sock, req, d.id, d.check()) }):
	case d.store == nil:
		s.conclude(sock, req, d.id, d.reply)
	// Packets that come after this one and promise nothing do not wait for its write.
	case !s.goOn(s.storing, a, func() { s.conclude(sock, req, d.id, d.store()) }):
		s.warnDropped(sock)
	}
}

// goOn has a packet's rest handled while its worker takes the next one. It returns
// false if too many are handled so already.
func (s *service) goOn(c *serving.Crew, a arrival, rest func()) bool {
	return c.Try(func() {
		defer s.survive(a)
		rest()
	})
}

// ignore tells of a packet that is not answered, since it cannot be read.
func (s *service) ignore(a arrival, err error) {
	if errors.Is(err, dhcp.ErrHardware) && s.hardware.Pass(s.server.Now()) {
		s.log.Warn("a client of another kind of network is not served; have it boot from an Ethernet interface", "from", a.from.String(), "error", err)
		return
	}
	s.log.Debug("packet ignored", "from", a.from.String(), "error", err)
}

// survive, when it is deferred, has a panic cost one packet, so that the server goes
// on.
func (s *service) survive(a arrival) {
	if v := recover(); v != nil && s.panicked.Pass(s.server.Now()) {
		s.log.Error("a DHCP packet was dropped because of a fault in this program; please report this line",
			"from", a.from.String(), "panic", v, "packet", fmt.Sprintf("%x", a.data), "stack", string(debug.Stack()))
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
